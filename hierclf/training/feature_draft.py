"""A feature bank on its way to disk: batches that were computed outlive the process.

Beside the growing bank lies a small journal: how far it is valid, and where the random numbers of
the augmented views stood. A computation that goes on there ends with the bytes of one that was not
interrupted.
"""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hierclf.io.atomic import read_json_object, room_for, sync, write_json_object
from hierclf.io.reserve import reserve

KEEP_EVERY_S = 5.0


class Place(NamedTuple):
    """Where to go on.

    Attributes:
        view, row: of the first image that is missing.
        state: of the view's random generator; None at the start of a view.
    """

    view: int
    row: int
    state: torch.Tensor | None


class FeatureDraft:
    """The bank while it is computed. The caller holds the lock of `path`.

    Args:
        path: of the finished bank.
        shape: [V + 1, N, D].
        made_by: what the bytes depend on besides the bank's key, such as the batch size; a draft
            made by something else is begun anew.

    Attributes:
        bank: float32 memory map of `shape`.
        place: where to go on.

    Raises:
        OSError: the disk is full (ENOSPC).
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], made_by: dict[str, int | str]
    ) -> None:
        self._path, self._part = path, path.with_suffix(".part")
        self._journal = path.with_suffix(".part.json")
        self._made_by = made_by
        self._kept = time.monotonic()
        self.place = self._earlier(shape) or self._begin(shape)
        self.bank = np.lib.format.open_memmap(self._part, mode="r+")

    def keep(self, place: Place) -> None:
        """Say that all before `place` is written; on disk every few seconds."""
        if time.monotonic() - self._kept < KEEP_EVERY_S:
            return
        self.bank.flush()
        state = "" if place.state is None else place.state.numpy().tobytes().hex()
        content = {"view": place.view, "row": place.row, "state": state, "made_by": self._made_by}
        write_json_object(self._journal, content)
        self._kept = time.monotonic()

    def finish(self) -> None:
        """Give the complete bank its name."""
        self.bank.flush()
        del self.bank
        sync(self._part)
        self._part.replace(self._path)
        sync(self._path.parent)
        self._journal.unlink(missing_ok=True)

    def _begin(self, shape: tuple[int, int, int]) -> Place:
        self._journal.unlink(missing_ok=True)
        need = 4 * int(np.prod(shape))
        with room_for(self._path, need=need, draft=self._part), self._part.open("w+b") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            reserve(file, need)
        return Place(0, 0, None)

    def _earlier(self, shape: tuple[int, int, int]) -> Place | None:
        """Where another process left the draft; None if there is none that fits."""
        try:
            content = read_json_object(self._journal)
            found = np.lib.format.open_memmap(self._part, mode="r").shape
            state = bytes.fromhex(content["state"])
            place = Place(int(content["view"]), int(content["row"]), None)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if content.get("made_by") != self._made_by or found != shape:
            return None
        if not (0 <= place.view < shape[0] and 0 <= place.row < shape[1]):
            return None
        if not state:
            return place
        return place._replace(state=torch.frombuffer(bytearray(state), dtype=torch.uint8))
