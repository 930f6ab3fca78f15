"""A feature bank on its way to disk: shards that were computed outlive the process.

Beside the growing bank lies a small journal that says which shards are written. A computation that
goes on there ends with the bytes of one that was not interrupted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hierclf.io.atomic import read_json_object, room_for, sync, write_json_object
from hierclf.io.reserve import reserve

KEEP_EVERY_S = 5.0


class FeatureDraft:
    """The bank while it is computed. The caller holds the lock of `path`.

    Args:
        path: of the finished bank.
        shape: [V + 1, N, D].
        n_shards: of the bank.
        made_by: what the bytes depend on besides the bank's key, such as the batch size, and what
            a shard is; a draft made by something else is begun anew.

    Attributes:
        part: the file that is written.
        bank: float32 memory map of it, of `shape`.
        done: bool [n_shards], the shards that are written.

    Raises:
        OSError: the disk is full (ENOSPC).
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        n_shards: int,
        made_by: dict[str, int | str],
    ) -> None:
        self._path, self.part = path, path.with_suffix(".part")
        self._journal = path.with_suffix(".part.json")
        self._made_by = made_by
        self._kept = time.monotonic()
        done = self._earlier(shape, n_shards)
        if done is None:
            done = np.zeros(n_shards, dtype=bool)
            self._begin(shape)
        self.done = done
        self.bank = np.lib.format.open_memmap(self.part, mode="r+")

    def keep(self, number: int) -> None:
        """Say that a shard is written; on disk every few seconds."""
        self.done[number] = True
        if time.monotonic() - self._kept >= KEEP_EVERY_S:
            self._write_journal()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the journal if the block ends with an error, such as Ctrl-C."""
        try:
            yield
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                self._write_journal()
            raise

    def finish(self) -> None:
        """Give the complete bank its name."""
        assert self.done.all()
        self.bank.flush()
        del self.bank
        sync(self.part)
        self.part.replace(self._path)
        sync(self._path.parent)
        self._journal.unlink(missing_ok=True)

    def _write_journal(self) -> None:
        # Of the whole file, what other processes wrote into their own maps of it included.
        self.bank.flush()
        done = np.packbits(self.done).tobytes().hex()
        write_json_object(self._journal, {"done": done, "made_by": self._made_by})
        self._kept = time.monotonic()

    def _begin(self, shape: tuple[int, int, int]) -> None:
        self._journal.unlink(missing_ok=True)
        need = 4 * int(np.prod(shape))
        with room_for(self._path, need=need, draft=self.part), self.part.open("w+b") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            reserve(file, need)

    def _earlier(self, shape: tuple[int, int, int], n_shards: int) -> NDArray[np.bool_] | None:
        """What another process left written; None if there is no draft that fits."""
        try:
            content = read_json_object(self._journal)
            found = np.lib.format.open_memmap(self.part, mode="r").shape
            bits = np.frombuffer(bytes.fromhex(content["done"]), dtype=np.uint8)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if content.get("made_by") != self._made_by or found != shape:
            return None
        if len(bits) != -(-n_shards // 8):
            return None
        return np.unpackbits(bits, count=n_shards).astype(bool)
