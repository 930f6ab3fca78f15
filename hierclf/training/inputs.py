"""What a network is fed: batches of images, or of features computed beforehand.

All kinds answer the same two calls, so that training does not know which one it runs on. A call
names all batches of an epoch, so that they may be on their way before they are needed.
Shape legend: B images of a batch, N images, V views, D features.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hierclf.data.stream import ImageStream
from hierclf.nets.preprocessing import center_view
from hierclf.training.augment import augment
from hierclf.training.batch_reader import batch_reader, to_device
from hierclf.training.features import view_strengths
from hierclf.training.rand_augment import rand_augment

Augmentation = Literal["recipe", "randaugment"]
GPU_PIXELS = 1 << 24
"""Pixels that a GPU augments at a time, as of 334 images of 224 px. One batch starts as many
kernels as five do, and to start them takes longer than they run. A temporary takes 200 MB."""


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
    augmentation: Augmentation = "recipe",
) -> Inputs:
    """Batches of pixels, float [B, 3, size, size] in [0, 1].

    Args:
        images: uint8 [N, H, W, 3], usually a memory map, or a stream; only the rows asked for are
            read.
        augmentation: `augment` or `rand_augment`.
    """
    change = {"recipe": augment, "randaugment": rand_augment}[augmentation]
    if isinstance(images, ImageStream):
        stream = images

        def fetch(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
            return (to_device(batch, device) for batch in stream.read(batches))
    else:
        read = batch_reader(images, device)

        def fetch(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
            return map(read, batches)

    side = max(size, *images.shape[1:3])

    def train(batches: Sequence[np.ndarray], generator: torch.Generator) -> Iterator[Tensor]:
        for group in _together(fetch(batches), side, device):
            augmented = change(torch.cat(group), size=size, strength=strength, generator=generator)
            yield from augmented.split([len(batch) for batch in group])

    def evaluate(batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        for batch in fetch(batches):
            yield center_view(
                batch, size=size, crop_fraction=crop_fraction, interpolation=interpolation
            )

    return Inputs(train, evaluate)


def _together(batches: Iterator[Tensor], side: int, device: torch.device) -> Iterator[list[Tensor]]:
    """Groups of batches that are augmented at once: on a CPU one batch each."""
    group: list[Tensor] = []
    for batch in batches:
        group.append(batch)
        n_images = sum(map(len, group)) + len(batch)  # with another batch like this one
        if device.type == "cpu" or n_images * side**2 > GPU_PIXELS:
            yield group
            group = []
    if group:
        yield group


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
