"""Files that a command writes: refused before the work starts, or there whole at its end."""

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

# What a file system answers that lacks locks, or fsync of folders.
NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
TABLE_ENDINGS = (".csv", ".parquet")


def check_out_file(option: str, path: Path, *, endings: Sequence[str]) -> None:
    """Refuse an output file that could not be written.

    Args:
        option: what the user typed it for, such as `--out`.
        endings: the allowed ones, in lower case.

    Raises:
        ValueError: another ending, no such folder or one without write access, or a folder of
            that name.
    """
    if path.suffix.lower() not in endings:
        raise ValueError(f"{option} must end in {' or '.join(endings)}, but got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"{option} must lie in a folder, but {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"{option} must be a file, but {path} is a folder")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{option} must lie in a folder with write access, got {path.parent}")


@contextmanager
def draft_of(path: Path, *, need: int = 0) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name when the block ends without an error.

    The draft may become a file or a folder; a file or folder of the name is replaced. What has the
    name is on disk: it outlives a machine that stops.

    Args:
        need: bytes that will be written, where that is known.

    Raises:
        OSError: the disk is full (ENOSPC); it names `path`, what is needed (what was written by
            then, at least), and what is free. Anything else is raised as the block raised it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with room_for(path, need=need, draft=draft):
            yield draft
            _sync_all(draft)
            if draft.is_dir() and path.is_dir():
                _swap(draft, path)
            else:
                draft.replace(path)
            sync(path.parent)
    finally:
        _remove(draft)


@contextmanager
def room_for(path: Path, *, need: int = 0, draft: Path | None = None) -> Iterator[None]:
    """Let a full disk, met while the block writes to `path`, be the OSError of `draft_of`."""
    try:
        yield
    except Exception as error:  # safetensors and shutil have errors of their own for a full disk
        if _says_full(error):
            raise OSError(errno.ENOSPC, _shortage(draft or path, need), str(path)) from error
        raise


def sync(path: Path) -> None:
    """Make a file, or a folder's entries, durable: a rename counts once its folder is on disk.

    On a file system that cannot do so for folders, a warning is all.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in NOT_THERE:
            raise OSError(error.errno, error.strerror, str(path)) from error
        warn_once(
            f"the file system of {path.parent} cannot sync folders ({error.strerror}): after a "
            "crash of the machine, the last files may be missing"
        )
    finally:
        os.close(descriptor)


@cache
def warn_once(text: str) -> None:
    """Warn, unless this process has done so with the same words."""
    warnings.warn(text, stacklevel=4)


def _sync_all(draft: Path) -> None:
    for inside in sorted(draft.rglob("*")) if draft.is_dir() else ():
        sync(inside)
    sync(draft)


def _swap(draft: Path, path: Path) -> None:
    """A folder takes the place of another one, which POSIX's rename refuses to do."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    path.replace(old)
    draft.replace(path)
    _remove(old)


def _says_full(error: Exception) -> bool:
    codes = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    if isinstance(error, OSError) and error.errno in codes:
        return True
    return any(f"rrno {code}]" in str(error) or f"os error {code})" in str(error) for code in codes)


def _shortage(draft: Path, need: int) -> str:
    parts = [draft, *draft.rglob("*")] if draft.exists() else []
    written = sum(part.lstat().st_size for part in parts)
    words = _megabytes(need) if need > written else f"more than {_megabytes(written)}"
    free = shutil.disk_usage(draft.parent).free
    return f"no space left on the device: {words} needed, {_megabytes(free)} free"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# A hierarchy of 100,000 classes needs a quarter of it.
MAX_JSON_BYTES = 16 * 2**20


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; ValueError if there is no file, no JSON, no object or too much."""
    if not path.is_file():
        raise ValueError(f"has no {path.name}")
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, more than the limit of {MAX_JSON_BYTES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # the latter from brackets nested too deep
        raise ValueError(f"{path.name} is no valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object, but {type(content).__name__}")
    return content


def write_json_object(path: Path, content: dict[str, Any]) -> None:
    """Write an object as a JSON file, beside and then in one step in its place."""
    with draft_of(path) as draft:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        draft.write_text(text, encoding="utf-8")
