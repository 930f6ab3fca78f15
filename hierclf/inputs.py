"""What a network is fed: batches of images, or of features computed beforehand.

Both kinds answer the same two calls, so that training does not know which one it runs on.
Shape legend: B images of a batch, N images, V views, D features.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hierclf.augment import augment, center_view
from hierclf.features import view_strengths


class Inputs(NamedTuple):
    """Two functions from rows to what the network takes.

    Attributes:
        train: (int64 rows [B], generator) -> augmented batch on the device.
        eval: (int64 rows [B]) -> the batch as prediction sees it.
    """

    train: Callable[[np.ndarray, torch.Generator], Tensor]
    eval: Callable[[np.ndarray], Tensor]


def image_inputs(
    images: np.ndarray,
    *,
    size: int,
    crop_fraction: float,
    interpolation: Literal["bilinear", "bicubic"],
    strength: float,
    device: torch.device,
) -> Inputs:
    """Batches of pixels, float [B, 3, size, size] in [0, 1].

    Args:
        images: uint8 [N, H, W, 3], usually a memory map; only the rows asked for are read.
    """

    def fetch(rows: np.ndarray) -> Tensor:
        batch = torch.from_numpy(images[rows])
        if device.type == "cuda":
            return batch.pin_memory().to(device, non_blocking=True)
        return batch

    def train(rows: np.ndarray, generator: torch.Generator) -> Tensor:
        return augment(fetch(rows), size=size, strength=strength, generator=generator)

    def evaluate(rows: np.ndarray) -> Tensor:
        return center_view(
            fetch(rows), size=size, crop_fraction=crop_fraction, interpolation=interpolation
        )

    return Inputs(train, evaluate)


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

    def train(rows: np.ndarray, generator: torch.Generator) -> Tensor:
        views = torch.randint(usable, (len(rows),), generator=generator, device=generator.device)
        return torch.from_numpy(bank[views.cpu().numpy(), rows]).to(device)

    def evaluate(rows: np.ndarray) -> Tensor:
        return torch.from_numpy(bank[0, rows]).to(device)

    return Inputs(train, evaluate)
