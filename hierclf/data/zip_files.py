"""Zip files of strangers: entries and bytes in bounded memory; nothing is extracted."""

import posixpath
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hierclf.data.file_names import LEAVES, is_hidden, unsafe_reason
from hierclf.errors import one_line
from hierclf.storage.remote_reader import UnreachableError

# A zip entry may claim any size; no photograph needs more.
MAX_FILE_BYTES = 256 * 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UTF8_FLAG = 0x800


class ZipFileEntry(NamedTuple):
    """A visible file in a zip.

    Attributes:
        path: normalised, with forward slashes.
        raw: the name's bytes, where its encoding is unknown; else empty.
        unsafe: why it must not be read; empty where it may.
    """

    path: str
    raw: bytes
    unsafe: str
    info: zipfile.ZipInfo


def open_zip(path: Path | BinaryIO, *, encoding: str | None = None) -> zipfile.ZipFile:
    """Open a zip file's directory.

    Args:
        path: of the file, or the file itself, open.
        encoding: of names that are not marked as UTF-8.

    Raises:
        ValueError: not a zip file that can be read.
        UnreachableError: the store that it lies in does not give it.
    """
    try:
        archive = zipfile.ZipFile(path)
        for info in archive.infolist():
            _in_encoding(info, encoding)
        return archive
    except UnreachableError:
        raise
    except Exception as error:  # a directory of made-up bytes raises nearly anything
        raise ValueError(f"cannot be read as a zip file: {one_line(error)}") from None


def zip_entries(archive: zipfile.ZipFile, *, encoding: str | None = None) -> Iterator[ZipFileEntry]:
    """The visible files of a zip, unsafe ones included.

    Names that are not marked as UTF-8 are read as UTF-8 where they are valid, since many programs
    write it without the mark, and as code page 437 otherwise, as the format has it.

    Args:
        archive: from `open_zip`.
        encoding: what it was opened with.
    """
    for info in archive.infolist():
        name, raw = info.filename, b""
        if encoding is not None:
            name = _in_encoding(info, encoding)
        elif not info.flag_bits & _UTF8_FLAG and not name.isascii():
            raw = info.orig_filename.encode("cp437")
            with suppress(UnicodeDecodeError):
                name, raw = raw.decode(), b""
        # In some encodings a letter's second byte is that of a backslash.
        path = name if raw else name.replace("\\", "/")
        unsafe = unsafe_reason(path) and LEAVES
        if not unsafe and stat.S_ISLNK(info.external_attr >> 16):
            unsafe = "is a link, which is not followed"
        path = posixpath.normpath(path)
        if unsafe or not (info.is_dir() or is_hidden(path)):
            yield ZipFileEntry(path, raw, unsafe, info)


def _in_encoding(info: zipfile.ZipInfo, encoding: str | None) -> str:
    """A name in the encoding that the user named; zipfile reads unmarked ones as code page 437."""
    if encoding is None or info.flag_bits & _UTF8_FLAG:
        return info.filename
    return info.orig_filename.encode("cp437").decode(encoding).partition("\0")[0]


def read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a zip entry, in memory that its stated size bounds.

    `ZipFile.read` unpacks all that is there before it looks at the stated size, and methods other
    than deflate do so whatever is asked for: a stranger's 100 KB may become gigabytes.

    Raises:
        ValueError: larger than MAX_FILE_BYTES, of another method, damaged or encrypted.
    """
    check_size(info.file_size)
    # One byte more than there should be: the end is seen, and with it the checksum.
    return _read(archive, info, info.file_size + 1)


class ZipReader:
    """Reads entries of one zip; a copy in another process opens the zip there, when it first reads.

    Args:
        source: gives what `open_zip` takes.
        encoding: of names that are not marked as UTF-8.
    """

    def __init__(self, source: Callable[[], Path | BinaryIO], encoding: str | None) -> None:
        self._source, self._encoding = source, encoding
        self._archive: zipfile.ZipFile | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipReader, (self._source, self._encoding)

    @property
    def archive(self) -> zipfile.ZipFile:
        """The open zip."""
        with self._lock:
            if self._archive is None:
                self._archive = open_zip(self._source(), encoding=self._encoding)
        return self._archive

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """As `read_zipped`."""
        return read_zipped(self.archive, info)


def zipped_head(archive: zipfile.ZipFile, info: zipfile.ZipInfo, n_bytes: int) -> bytes:
    """The first bytes of a zip entry; none where it cannot be read."""
    try:
        return _read(archive, info, n_bytes)
    except ValueError:
        return b""


def check_size(size: int) -> None:
    """Raise ValueError for a file larger than MAX_FILE_BYTES."""
    if size > MAX_FILE_BYTES:
        raise ValueError(f"the file has {size} bytes, more than the limit of {MAX_FILE_BYTES}")


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, n_bytes: int) -> bytes:
    if info.compress_type not in _METHODS:
        raise ValueError(f"a zip entry must be stored or deflated, not method {info.compress_type}")
    try:
        with archive.open(info) as file:
            return file.read(n_bytes)
    except UnreachableError:
        raise
    except Exception as error:  # damaged entries raise nearly anything, encrypted ones RuntimeError
        name = Path(archive.filename or "").name
        raise ValueError(f"cannot be read from {name}: {one_line(error)}") from None
