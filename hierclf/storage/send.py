"""Copies of a folder's files in a store, sent file by file, and none in part."""

import posixpath
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from hierclf.storage.store import Store, patiently

_BLOCK = 8 * 2**20
_MOST_OF_A_TEXT = 64 * 2**20
_NOT_ATOMIC = ("hdfs", "viewfs")  # a file is there while it is written; in the others, once closed


class Version(NamedTuple):
    """What tells that a file has changed."""

    size: int
    time_ns: int


def versions(folder: Path, skip: Callable[[str], bool]) -> dict[str, Version]:
    """The files in a folder by their names there, the one that changed first first.

    Args:
        folder: may change meanwhile.
        skip: whether a file or a folder with all that is in it is left out, by its name.
    """
    found = dict(_walk(folder, "", skip))
    return dict(sorted(found.items(), key=lambda item: item[1].time_ns))


def _walk(folder: Path, prefix: str, skip: Callable[[str], bool]) -> Iterator[tuple[str, Version]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # deleted meanwhile
        return
    for path in entries:
        name = prefix + path.name
        if skip(name) or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(path, f"{name}/", skip)
            continue
        try:
            status = path.stat()
        except OSError:
            continue
        yield name, Version(status.st_size, status.st_mtime_ns)


def send_file(store: Store, path: Path, name: str) -> bool:
    """Send a file; False if it is there no more. It appears under its name when it is whole.

    Args:
        store: the place of the folder.
        path: the file.
        name: below the place.

    Raises:
        ValueError: the store refuses or cannot be reached; one line.
        OSError: the file cannot be read.
    """
    try:
        data = path.open("rb")
    except FileNotFoundError:
        return False
    with data:

        def write() -> None:
            data.seek(0)
            target = place = store.join(name)
            if store.address.scheme in _NOT_ATOMIC:
                store.filesystem.create_dir(posixpath.dirname(place), recursive=True)
                place = f"{target}.{uuid.uuid4().hex}.part"
            with store.filesystem.open_output_stream(place) as out:
                while block := data.read(_BLOCK):
                    out.write(block)
            if place != target:
                store.filesystem.move(place, target)

        patiently(write, f"{store.address.name}/{name}")
    return True


def send_text(store: Store, text: str, name: str) -> None:
    """The same of a text."""
    place, data = store.join(name), text.encode()

    def write() -> None:
        with store.filesystem.open_output_stream(place) as out:
            out.write(data)

    patiently(write, f"{store.address.name}/{name}")


def delete_file(store: Store, name: str) -> None:
    """Delete a file below the place; one that is not there is no error."""

    def delete() -> None:
        try:
            store.filesystem.delete_file(store.join(name))
        except FileNotFoundError:
            return

    patiently(delete, f"{store.address.name}/{name}")


def read_text(store: Store, name: str) -> str | None:
    """The text of a small file below the place; None if there is none.

    Raises:
        ValueError: the store refuses or cannot be reached; one line.
    """

    def read() -> str | None:
        try:
            with store.filesystem.open_input_file(store.join(name)) as file:
                return bytes(file.read(_MOST_OF_A_TEXT)).decode()
        except FileNotFoundError:
            return None

    return patiently(read, f"{store.address.name}/{name}")
