"""Tar files of strangers: members and bytes in bounded memory; nothing is extracted."""

import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from hierclf.data.file_names import LEAVES, is_hidden, unsafe_reason, unwritable_reason
from hierclf.data.zip_files import check_size
from hierclf.errors import one_line
from hierclf.storage.remote_reader import UnreachableError

_BLOCK = 512
_MOST_OF_A_HEADER = 1 << 20
# What tarfile keeps of a member takes about 1 kB; it forgets them when it opens the file again.
_AT_A_TIME = 10_000


class TarMember(NamedTuple):
    """A visible file in a tar.

    Attributes:
        path: normalised, with forward slashes.
        offset: of its content in the tar, in bytes.
        size: of its content, in bytes.
        unsafe: why it must not be read; empty where it may.
    """

    path: str
    offset: int
    size: int
    unsafe: str


class _Headers:
    """A tar of which only headers are read: one that claims to be larger takes no memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MOST_OF_A_HEADER:
            raise ValueError(f"a header claims a size of {size} bytes")
        return self._read(size)


def tar_members(path: Path) -> Iterator[TarMember]:
    """The visible files of an uncompressed tar in the order in which they lie in it.

    Raises:
        ValueError: not a tar that can be read to its end, which may show after some members.
    """
    with path.open("rb", buffering=0) as file:
        yield from members_of(file, path.stat().st_size)


def members_of(file: BinaryIO, file_size: int) -> Iterator[TarMember]:
    """The same of an open file of that many bytes."""
    headers, start = _Headers(file), 0
    try:
        while start < file_size:
            before = start
            for info in _some_members(headers, start):
                start = _end(info, start, file_size)
                member = _member(info)
                if not info.isdir() and (member.unsafe or not is_hidden(member.path)):
                    yield member
            if start == before:
                break
        _check_end(headers, start)
    except (OSError, UnreachableError):
        raise
    except Exception as error:  # made-up headers raise nearly anything
        raise ValueError(f"cannot be read as a tar file: {one_line(error)}") from None


def read_member(path: Path, offset: int, size: int) -> bytes:
    """The bytes of a member of a tar.

    Args:
        path: the tar.
        offset: of its content in the tar, in bytes.
        size: of its content, in bytes.

    Raises:
        ValueError: larger than MAX_FILE_BYTES, or the tar has become shorter.
        OSError: the tar cannot be read.
    """
    check_size(size)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise ValueError(f"{path.name} has become shorter since it was listed")
    return data


def _some_members(file: _Headers, start: int) -> Iterator[tarfile.TarInfo]:
    """The next members after a position, few enough to keep all of them."""
    file.seek(start)
    try:
        tar = tarfile.open(fileobj=cast("BinaryIO", file), mode="r:")  # noqa: SIM115  the file stays open
    except tarfile.ReadError:
        if start == 0:
            raise
        return  # the end mark, or what `_check_end` names
    for _ in range(_AT_A_TIME):
        if (info := tar.next()) is None:
            return
        yield info


def _end(info: tarfile.TarInfo, start: int, file_size: int) -> int:
    """Where the next header begins."""
    has_content = info.isreg() and not info.issparse()
    end = info.offset_data + (-(-info.size // _BLOCK) * _BLOCK if has_content else 0)
    if info.size < 0 or not start < end <= file_size:
        raise ValueError(f"member {info.name!r} claims {info.size} bytes, more than there are")
    return end


def _member(info: tarfile.TarInfo) -> TarMember:
    path = info.name.replace("\\", "/")
    unsafe = unwritable_reason(path) or (unsafe_reason(path) and LEAVES)
    if info.issym() or info.islnk():
        unsafe = "is a link, which is not followed"
    elif not info.isreg() or info.issparse():
        unsafe = "is neither a file nor a folder"
    return TarMember(posixpath.normpath(path), info.offset_data, info.size, unsafe)


def _check_end(file: _Headers, end: int) -> None:
    """Refuse a tar whose members end without the mark of zeros: the others may be missing."""
    file.seek(end)
    block = file.read(_BLOCK)
    if block != b"\0" * _BLOCK:
        what = "is damaged" if len(block) == _BLOCK else "has no end mark"
        raise ValueError(f"it {what} after byte {end}; is it the whole file?")
