"""What a network is fed: batches of images, or of features computed beforehand.

All kinds answer the same two calls, so that training does not know which one it runs on. A call
names all batches of an epoch, so that they may be on their way before they are needed.
Shape legend: B images of a batch, N images, V views, D features.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from hierclf.data.cache import read_rows
from hierclf.data.stream import ImageStream
from hierclf.nets.preprocessing import center_view
from hierclf.training.augment import augment
from hierclf.training.features import view_strengths

RESIDENT_SHARE = 0.25
"""Of a GPU's free memory, what an image set may take to be kept there as a whole."""
_ROWS_A_COPY = 4096
# By the array's id and the device. A copy lives as long as a reader of it.
_RESIDENT: WeakValueDictionary[tuple[int, str], Tensor] = WeakValueDictionary()


class Inputs(NamedTuple):
    """Two functions from batches of rows, int64 [B] each, to what the network takes, in turn.

    Attributes:
        train: (rows of each batch, generator) -> augmented batches on the device.
        eval: (rows of each batch) -> the batches as prediction sees them.
    """

    train: Callable[[Sequence[np.ndarray], torch.Generator], Iterator[Tensor]]
    eval: Callable[[Sequence[np.ndarray]], Iterator[Tensor]]


def image_inputs(
    images: np.ndarray | ImageStream,
    *,
    size: int,
    crop_fraction: float,
    interpolation: Literal["bilinear", "bicubic"],
    strength: float,
    device: torch.device,
) -> Inputs:
    """Batches of pixels, float [B, 3, size, size] in [0, 1].

    Args:
        images: uint8 [N, H, W, 3], usually a memory map, or a stream; only the rows asked for are
            read.
    """
    if isinstance(images, ImageStream):
        stream = images

        def fetch(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
            return (_to_device(batch, device) for batch in stream.read(batches))
    else:
        read = batch_reader(images, device)

        def fetch(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
            return map(read, batches)

    def train(batches: Sequence[np.ndarray], generator: torch.Generator) -> Iterator[Tensor]:
        for batch in fetch(batches):
            yield augment(batch, size=size, strength=strength, generator=generator)

    def evaluate(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        for batch in fetch(batches):
            yield center_view(
                batch, size=size, crop_fraction=crop_fraction, interpolation=interpolation
            )

    return Inputs(train, evaluate)


def _to_device(batch: np.ndarray, device: torch.device) -> Tensor:
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
    return lambda rows: _to_device(read_rows(images, rows), device)


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


def feature_inputs(
    bank: np.ndarray, *, strength: float, max_strength: float, device: torch.device
) -> Inputs:
    """Batches of cached features, float [B, D].

    Args:
        bank: float32 [V + 1, N, D] from `open_features`.
        strength: training draws, for every image anew, one of the views of at most this strength.
        max_strength: strength of the bank's last view.
    """
    usable = int((view_strengths(len(bank) - 1, max_strength) <= strength + 1e-9).sum())

    def train(batches: Sequence[np.ndarray], generator: torch.Generator) -> Iterator[Tensor]:
        for rows in batches:
            shape, source = (len(rows),), generator.device
            views = torch.randint(usable, shape, generator=generator, device=source)
            yield torch.from_numpy(bank[views.cpu().numpy(), rows]).to(device)

    def evaluate(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        return (torch.from_numpy(bank[0, rows]).to(device) for rows in batches)

    return Inputs(train, evaluate)
