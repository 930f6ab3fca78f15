"""Copies of remote files on this machine, brought up to date file by file.

A file is there once it has its name: it has been whole then, and has the size and the time of its
original. What was fetched before an interruption stays, of a large file, too.
"""

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from threading import Event
from typing import NamedTuple
from urllib.parse import quote

from hierclf.io.atomic import room_for, sync
from hierclf.io.locks import locked
from hierclf.progress import Progress, progress
from hierclf.storage.address import Address
from hierclf.storage.listing import Listed, RemoteFile, list_store
from hierclf.storage.store import Store, open_store, patiently

_AT_A_TIME = 16
_BLOCK = 8 * 2**20
_DRAFTS = ".parts"
_CHANGED = "it has changed while it was fetched; start again"
_MB = 1_000_000


class Fetched(NamedTuple):
    """What was fetched.

    Attributes:
        place: the file or folder on this machine.
        left_out: names of files that were not wanted.
    """

    place: Path
    left_out: list[str]


def fetch(
    text: str,
    cache: Path,
    *,
    wanted: Callable[[str], bool] = bool,
    beside: Collection[str] = (),
) -> Fetched:
    """Bring the files at an address onto this machine; those that are there already stay.

    Several processes may call this at once: one fetches, the others wait for it.

    Args:
        text: the address of a file or folder.
        cache: the folder of all copies.
        wanted: whether a file of a folder is, by its name in it.
        beside: names of files that are fetched, too, where they lie beside a file.

    Raises:
        ValueError: nothing there, a name that leaves the folder, too little space, or the store
            refuses or cannot be reached; one line.
        OSError: the copies cannot be written.
    """
    store = open_store(text)
    listed, left_out = wanted_files(store, wanted, beside)
    files = listed.files
    folder = cache / folder_name(store.address)
    with locked(folder.with_name(f"{folder.name}.lock")):
        _bring_up_to_date(store, files, folder)
    return Fetched(folder / listed.files[0].name if listed.is_file else folder, left_out)


def wanted_files(
    store: Store, wanted: Callable[[str], bool], beside: Collection[str] = ()
) -> tuple[Listed, list[str]]:
    """The files at a store's place, the file that is meant first, and names of those not wanted.

    Arguments as `fetch`.

    Raises:
        ValueError: nothing there, or a name that leaves the folder; one line.
    """
    listed = list_store(store)
    if listed is None:
        raise ValueError(f"{store.address.name}: no such file or folder")
    files = listed.files + (_beside(store, beside) if listed.is_file else [])
    for file in files:
        _check_name(file.name, store.address)
    left_out = [] if listed.is_file else [file.name for file in files if not wanted(file.name)]
    files = [file for file in files if listed.is_file or wanted(file.name)]
    if not files:
        what = f"none of its {len(left_out)} files can be read (first: {left_out[0]!r})"
        raise ValueError(f"{store.address.name}: {what}")
    return Listed(listed.is_file, files), left_out


def fetch_into(store: Store, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Make a folder hold the wanted files of a store's place and nothing else; see `fetch`."""
    listed = list_store(store)
    files = [file for file in (listed.files if listed else ()) if wanted(file.name)]
    for file in files:
        _check_name(file.name, store.address)
    _bring_up_to_date(store, files, folder)


def _beside(store: Store, names: Collection[str]) -> list[RemoteFile]:
    folder, _, own = store.address.key.rpartition("/")
    top = store.path.rpartition("/")[0]
    found: list[RemoteFile] = []
    for name in names:
        if name != own:
            place = store.address.at(f"{folder}/{name}".strip("/"))
            other = list_store(Store(store.filesystem, f"{top}/{name}", place))
            found += other.files if other is not None and other.is_file else []
    return found


def _check_name(name: str, address: Address) -> None:
    parts = name.replace("\\", "/").split("/")
    drive = os.name == "nt" and ":" in name
    if {"", ".", ".."} & set(parts) or "\0" in name or drive:
        what = "has no place below the folder on this machine"
        raise ValueError(f"{address.name}: the file {name!r} {what}")
    if max(map(len, map(os.fsencode, parts))) > 255:
        raise ValueError(
            f"{address.name}: a file's name is longer than 255 bytes: {name[:60]!r}..."
        )


def folder_name(address: Address) -> str:
    """A name for the copies that people know, and another one for each address."""
    digest = hashlib.sha256(str(address).encode()).hexdigest()[:16]
    return f"{quote(address.key.rpartition('/')[2] or address.bucket, safe='')[:60]}-{digest}"


def _bring_up_to_date(store: Store, files: Sequence[RemoteFile], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not _is_there(folder / file.name, file)]
    drafts = {_draft(folder, file).name for file in missing}
    _remove_others(folder, {file.name for file in files}, drafts)
    need = sum(file.size for file in missing)
    kept = sum(path.stat().st_size for path in (folder / _DRAFTS).glob("*"))
    if need - kept > (free := shutil.disk_usage(folder).free):
        what = f"{(need - kept) / _MB:.0f} MB are to be fetched, but {free / _MB:.0f} MB are free"
        raise ValueError(f"{store.address.name}: {what} in {folder.parent}")
    if missing:
        with progress(f"fetching {store.address.name} (MB)") as report:
            _fetch_all(store, missing, folder, report)
    shutil.rmtree(folder / _DRAFTS, ignore_errors=True)


def _is_there(path: Path, file: RemoteFile) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (file.size, file.stamp)


def _remove_others(folder: Path, names: set[str], drafts: set[str]) -> None:
    """Delete copies of what is there no more, and drafts of what has changed."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if name in names or not any(path.iterdir()):
                shutil.rmtree(path)
        elif name not in names and not (path.parent.name == _DRAFTS and path.name in drafts):
            path.unlink()


def _fetch_all(store: Store, files: Sequence[RemoteFile], folder: Path, report: Progress) -> None:
    done, total = 0, sum(file.size for file in files)
    megabytes = math.ceil(total / _MB)
    with room_for(folder), ThreadPoolExecutor(_AT_A_TIME) as pool:
        stop = Event()
        tasks = {pool.submit(_fetch_one, store, file, folder, stop): file for file in files}
        try:
            for task in as_completed(tasks):
                task.result()
                done += tasks[task].size
                report(done // _MB if done < total else megabytes, megabytes)
        except BaseException:  # Ctrl-C, too: files in work are finished or kept as drafts
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _draft(folder: Path, file: RemoteFile) -> Path:
    """Where a file grows; another one for another content."""
    content = f"{file.stamp} {file.size} {file.name}"
    return folder / _DRAFTS / hashlib.sha256(content.encode()).hexdigest()


def _fetch_one(store: Store, file: RemoteFile, folder: Path, stop: Event) -> None:
    draft, place = _draft(folder, file), folder / file.name
    draft.parent.mkdir(exist_ok=True)
    name = _named(store, file)
    with draft.open("ab" if file.stamp is not None else "wb") as out:
        while (start := out.tell()) < file.size:
            out.write(patiently(partial(_block, store, file, start, stop), name))
            out.flush()
    if file.size > _BLOCK:  # its parts must be of one content
        _check_unchanged(store, file, name)
    os.utime(draft, ns=(file.stamp or 0, file.stamp or 0))
    sync(draft)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft.replace(place)


def _check_unchanged(store: Store, file: RemoteFile, name: str) -> None:
    now = list_store(Store(store.filesystem, file.path, store.address))
    if now is None or now.files[0][1:] != file[1:]:
        raise ValueError(f"{name}: {_CHANGED}")


def _block(store: Store, file: RemoteFile, start: int, stop: Event) -> bytes:
    """A part of a file; never an empty or a short one."""
    if stop.is_set():
        raise CancelledError
    length = min(_BLOCK, file.size - start)
    with store.filesystem.open_input_file(file.path) as stream:
        if stream.size() != file.size:
            raise FileNotFoundError(_CHANGED)
        stream.seek(start)
        data = bytes(stream.read(length))
    if len(data) != length:
        raise OSError(f"{len(data)} of {length} bytes came")
    return data


def _named(store: Store, file: RemoteFile) -> str:
    name = store.address.name
    return name if name.endswith(file.name) else f"{name}/{file.name}"
