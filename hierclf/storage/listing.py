"""The files at an address: their names, sizes and times."""

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from hierclf.storage.store import Store, patiently

_TIMES = ("mtime", "last_modified", "LastModified", "updated", "created")
_SUMS = ("etag", "ETag", "md5Hash", "sha")


class RemoteFile(NamedTuple):
    """A file in a store.

    Attributes:
        name: its path below the address; its own name where the address is that of a file.
        path: in the store's file system.
        size: in bytes.
        stamp: ns since 1970, another one for another content: its time, or one made of its
            checksum; None if the store tells neither.
    """

    name: str
    path: str
    size: int
    stamp: int | None


class Listed(NamedTuple):
    """What is at an address.

    Attributes:
        is_file: whether the address is that of a file.
        files: that file, or all below the folder, sorted by name.
    """

    is_file: bool
    files: list[RemoteFile]


def list_store(store: Store) -> Listed | None:
    """What is at an address; None if nothing is.

    Raises:
        ValueError: the store refuses or cannot be reached; one line.
    """
    found = patiently(lambda: _list(store), store.address.name)
    return found and found._replace(files=sorted(found.files))


def _list(store: Store) -> Listed | None:
    from pyarrow.fs import FileSelector, FileType, PyFileSystem

    if isinstance(store.filesystem, PyFileSystem):
        return _list_fsspec(store)
    if "/" in store.path:  # a bucket itself is no file
        info = store.filesystem.get_file_info(store.path)
        if info.type == FileType.File:
            return Listed(True, [_file(store, info)])
    try:  # a missing bucket is another error
        infos = store.filesystem.get_file_info(FileSelector(store.path, recursive=True))
    except FileNotFoundError:
        return None
    files = [_file(store, info) for info in infos if info.type == FileType.File]
    return Listed(False, files) if files else None


def _file(store: Store, info: Any) -> RemoteFile:
    name = info.path.removeprefix(store.path).removeprefix("/") or posixpath.basename(info.path)
    return RemoteFile(name, info.path, info.size, info.mtime_ns and info.mtime_ns // 1000 * 1000)


def _list_fsspec(store: Store) -> Listed | None:
    """The same of fsspec, whose times and checksums pyarrow does not pass on."""
    filesystem = store.filesystem.handler.fs
    filesystem.invalidate_cache()
    found = filesystem.find(store.path, detail=True)
    files = list(_of_fsspec(store, found))
    is_file = len(files) == 1 and files[0].path.strip("/") == store.path.strip("/")
    return Listed(is_file, files) if files else None


def _of_fsspec(store: Store, found: Mapping[str, Mapping[str, Any]]) -> Iterator[RemoteFile]:
    for path, info in found.items():
        if info["type"] == "file" and info.get("size") is not None:
            below = path.strip("/").removeprefix(store.path.strip("/")).removeprefix("/")
            yield RemoteFile(
                below or posixpath.basename(path), path, int(info["size"]), _stamp(info)
            )


def _stamp(info: Mapping[str, Any]) -> int | None:
    for key in _TIMES:
        value = info.get(key)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1e6) * 1000
        if isinstance(value, int | float):
            return int(value * 1e6) * 1000
    for key in (*_TIMES, *_SUMS):
        if info.get(key):
            return int(hashlib.sha256(str(info[key]).encode()).hexdigest()[:7], 16) * 10**9
    return None
