"""Batches of decoded images on a device: from a copy of the whole set there, or sent one by one."""

from collections.abc import Callable
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from hierclf.data.cache import read_rows

RESIDENT_SHARE = 0.25
"""Of a GPU's free memory, what an image set may take to be kept there as a whole."""
_ROWS_A_COPY = 4096
# By the array's id and the device. A copy lives as long as a reader of it.
_RESIDENT: WeakValueDictionary[tuple[int, str], Tensor] = WeakValueDictionary()


def to_device(batch: np.ndarray, device: torch.device) -> Tensor:
    """The batch as a tensor on the device; it never waits for a GPU."""
    tensor = torch.from_numpy(batch)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def batch_reader(images: np.ndarray, device: torch.device) -> Callable[[np.ndarray], Tensor]:
    """A function from int64 rows [B] to uint8 [B, H, W, 3] on a device; it never waits for a GPU.

    A set that takes a small part of a GPU's free memory is copied there once, for all readers of
    the process: then only row numbers travel. Of a larger one each batch travels from pinned
    memory, while the GPU works.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if images.nbytes <= RESIDENT_SHARE * free:
            return resident_reader(images, device)
    return lambda rows: to_device(read_rows(images, rows), device)


def resident_reader(images: np.ndarray, device: torch.device) -> Callable[[np.ndarray], Tensor]:
    """As `batch_reader`, from a copy of all images on the device."""
    key = id(images), str(device)
    pixels = _RESIDENT.get(key)
    if pixels is None:
        # In parts: of a memory map, only some pages are in main memory at a time.
        pixels = torch.empty(images.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(images), _ROWS_A_COPY):
            rows = slice(start, start + _ROWS_A_COPY)
            pixels[rows].copy_(torch.from_numpy(read_rows(images, rows)))
        _RESIDENT[key] = pixels

    def read(rows: np.ndarray, of: np.ndarray = images) -> Tensor:
        # `of` keeps the array alive as long as its copy, so that its id stays its own.
        index = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        return pixels[index.to(device, non_blocking=True)]

    return read
