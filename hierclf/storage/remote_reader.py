"""Bytes of files in a store, read where they lie: whole or a part at a time, without a copy."""

import io
import posixpath
import threading
from collections import OrderedDict
from typing import Any

from hierclf.storage.listing import RemoteFile
from hierclf.storage.store import Store, open_store, patiently

_BUFFER = 256 * 2**10
_OPEN_AT_A_TIME = 16
_CHANGED = "it has changed since it was listed; start again"


class UnreachableError(Exception):
    """A store does not give what it has listed; one line.

    No ValueError and no OSError: those say that an image is bad, and this says nothing of it.
    """


class RemoteReader:
    """Reads files of one store. Safe among threads; a copy in another process opens the store anew.

    Args:
        address: of the store, see `open_store`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._store: Store | None = None
        self._streams: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteReader, (self._address,)

    def read(self, file: RemoteFile, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of a file, or of a part that does not reach beyond its end.

        Raises:
            UnreachableError: the store does not give them, or the file has changed.
        """
        length = file.size - start if length is None else length

        def step() -> bytes:
            with self._opened(file).open_input_file(file.path) as stream:
                _check_size(stream, file)
                return _read_at(stream, start, length)

        return _reached(step, file)

    def read_again(self, file: RemoteFile, start: int, length: int) -> bytes:
        """The same of a file that is read often: it stays open."""

        def step() -> bytes:
            try:
                return _read_at(self._stream(file), start, length)
            except Exception:
                with self._lock:
                    self._streams.pop(file.path, None)
                raise

        return _reached(step, file)

    def open(self, file: RemoteFile) -> io.BufferedReader:
        """A file to read and seek in; what it raises is an UnreachableError."""
        return io.BufferedReader(_Parts(self, file), _BUFFER)

    def _opened(self, file: RemoteFile) -> Any:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._address)
        return self._store.filesystem

    def _stream(self, file: RemoteFile) -> Any:
        with self._lock:
            if (stream := self._streams.get(file.path)) is not None:
                self._streams.move_to_end(file.path)
                return stream
        stream = self._opened(file).open_input_file(file.path)
        _check_size(stream, file)
        with self._lock:
            self._streams[file.path] = stream
            while len(self._streams) > _OPEN_AT_A_TIME:
                self._streams.popitem(last=False)
        return stream


class _Parts(io.RawIOBase):
    """A file whose parts are read as they are asked for."""

    def __init__(self, reader: RemoteReader, file: RemoteFile) -> None:
        self.name = posixpath.basename(file.path)
        self._reader, self._file, self._position = reader, file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise ValueError(f"a position must be at least 0, but got {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        length = max(0, min(len(buffer), self._file.size - self._position))
        if length:
            buffer[:length] = self._reader.read_again(self._file, self._position, length)
            self._position += length
        return length


def _check_size(stream: Any, file: RemoteFile) -> None:
    if stream.size() != file.size:
        raise FileNotFoundError(_CHANGED)


def _read_at(stream: Any, start: int, length: int) -> bytes:
    data = bytes(stream.read_at(length, start))
    if len(data) != length:
        raise OSError(f"{len(data)} of {length} bytes came")
    return data


def _reached(step: Any, file: RemoteFile) -> bytes:
    try:
        return patiently(step, file.path)
    except ValueError as error:
        raise UnreachableError(str(error)) from None
