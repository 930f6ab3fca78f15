"""The features of some images at a time: a shard of a view depends on no other shard.

So shards can be computed in any order and by several processes, and have the same bytes.

Shape legend: N images, V augmented views, B images of a batch, D features.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.nets.inference import fold_batch_norm
from hierclf.nets.preprocessing import center_view, normalise
from hierclf.training.augment import augment
from hierclf.training.batch_reader import batch_reader

Item = TypeVar("Item")

SHARD_IMAGES = 64
"""Images of a shard, or the batch size where that is larger."""


class Shard(NamedTuple):
    """Some images in one view.

    Attributes:
        number: from 0, over all views.
        view: 0 is the evaluation view.
        rows: of the images.
    """

    number: int
    view: int
    rows: slice

    @property
    def n_images(self) -> int:
        """How many images."""
        return int(self.rows.stop - self.rows.start)


class FeatureSettings(NamedTuple):
    """How features are made of a network and images; numbers and texts only.

    Attributes:
        n_images: N.
        strengths: of the augmentation of every view, V + 1 numbers; that of view 0 is not used.
        seed: of the random numbers of augmented views.
        step: images of a batch.
        shard: images of a shard, a multiple of `step`.
        image_size: side of the network's images in pixels.
        crop_fraction, interpolation: of view 0, as `center_view` takes them.
        mean, std: normalisation of images in [0, 1].
    """

    n_images: int
    strengths: tuple[float, ...]
    seed: int
    step: int
    shard: int
    image_size: int
    crop_fraction: float
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def shard_size(step: int) -> int:
    """Images of a shard of batches of `step` images."""
    return max(1, SHARD_IMAGES // step) * step


def n_shards(settings: FeatureSettings) -> int:
    """How many shards all views have."""
    return len(settings.strengths) * -(-settings.n_images // settings.shard)


def shard_of(number: int, settings: FeatureSettings) -> Shard:
    """The shard of a number."""
    view, place = divmod(number, -(-settings.n_images // settings.shard))
    first = place * settings.shard
    return Shard(number, view, slice(first, min(first + settings.shard, settings.n_images)))


def ready(module: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a backbone for `write_shards`."""
    return fold_batch_norm(module).to(memory_format=torch.channels_last).to(device)


def write_shards(
    shards: Iterable[Shard],
    settings: FeatureSettings,
    module: nn.Module,
    images: np.ndarray,
    bank: np.ndarray,
    device: torch.device,
) -> Generator[Shard, None, None]:
    """Compute shards and write them into a bank; each is yielded once it is written.

    Args:
        shards: asked for one by one: a GPU still computes when the next one is asked for.
        module: of `ready`, on `device`.
        images: uint8 [N, H, W, 3].
        bank: float32 [V + 1, N, D].
    """
    for shard, rows, features in _one_behind(_batches(shards, settings, module, images, device)):
        bank[shard.view, rows] = features.float().cpu().numpy()
        if rows.stop == shard.rows.stop:
            yield shard


def _batches(
    shards: Iterable[Shard],
    settings: FeatureSettings,
    module: nn.Module,
    images: np.ndarray,
    device: torch.device,
) -> Iterator[tuple[Shard, slice, Tensor]]:
    """Each batch: its shard, its rows and their features [B, D]."""
    mean = torch.tensor(settings.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(settings.std, device=device).view(1, 3, 1, 1)
    read = batch_reader(images, device)
    generator = torch.Generator(device)
    for shard in shards:
        generator.manual_seed(seed_of(shard, settings))
        for first in range(shard.rows.start, shard.rows.stop, settings.step):
            rows = slice(first, min(first + settings.step, shard.rows.stop))
            pixels = _view(
                read(np.arange(rows.start, rows.stop)), shard.view, settings, generator=generator
            )
            with torch.inference_mode():
                features = module(normalise(pixels, mean, std))
            yield shard, rows, features


def seed_of(shard: Shard, settings: FeatureSettings) -> int:
    """The seed of a shard's random numbers: of the bank's seed, the view and its place there."""
    parts = settings.seed, shard.view, shard.rows.start // settings.shard
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


def _view(
    batch: Tensor, view: int, settings: FeatureSettings, *, generator: torch.Generator
) -> Tensor:
    """Images in a view: uint8 [B, H, W, 3] to float32 [B, 3, size, size] in [0, 1]."""
    if view == 0:
        return center_view(
            batch,
            size=settings.image_size,
            crop_fraction=settings.crop_fraction,
            interpolation=settings.interpolation,
        )
    strength = settings.strengths[view]
    return augment(batch, size=settings.image_size, strength=strength, generator=generator)


def _one_behind(items: Iterator[Item]) -> Iterator[Item]:
    """Each item after the next was asked for: a GPU computes that while this one is written."""
    last = next(items, None)
    if last is None:
        return
    for item in items:
        yield last
        last = item
    yield last
