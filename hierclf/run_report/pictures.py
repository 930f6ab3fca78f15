"""The small pictures of a report, kept in the run's folder: `thumbnails.parquet`.

With them the report can be written anew when the images are gone.

Shape legend: N images of a cache, H height, W width.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hierclf.data.cache import ImageCache
from hierclf.data.stream import ImageStream
from hierclf.data.thumbnails import SIDE, data_uri, thumbnail
from hierclf.io.atomic import draft_of
from hierclf.training.augment import augment

STRENGTHS = (0.5, 1.0, 2.0)
"""Of the augmentation preview."""
N_PREVIEWS = 4
FILE = "thumbnails.parquet"
_PLAIN = ""

Pictures = dict[tuple[str, str], bytes]
"""JPEG files by image name and variant: "" as it is, or a strength such as "0.5"."""


def make_pictures(caches: Sequence[ImageCache], names: Iterable[str]) -> Pictures:
    """Thumbnails of some images, and the augmentation preview of the first cache's.

    Args:
        caches: the known images first, then the user's own novel ones.
        names: of images; those that no cache has are left out.
    """
    wanted, pictures = set(names), Pictures()
    for cache in caches:
        rows = np.array([i for i, name in enumerate(cache.names) if name in wanted], np.int64)
        for row, pixels in zip(rows.tolist(), _pixels(cache, rows), strict=True):
            pictures.setdefault((cache.names[row], _PLAIN), thumbnail(pixels))
    return pictures | _previews(caches[0])


def _previews(cache: ImageCache) -> Pictures:
    """A few images of different super-classes, as they are and at each strength."""
    _, firsts = np.unique(cache.super_labels, return_index=True)
    rows = np.sort(firsts[:N_PREVIEWS])
    pixels = _pixels(cache, rows)
    names = [cache.names[row] for row in rows.tolist()]
    pictures = {(name, "0"): thumbnail(image) for name, image in zip(names, pixels, strict=True)}
    for strength in STRENGTHS:
        generator = torch.Generator().manual_seed(0)
        drawn = augment(torch.from_numpy(pixels), size=SIDE, strength=strength, generator=generator)
        images = (255.0 * drawn.permute(0, 2, 3, 1)).round().to(torch.uint8).numpy()
        for name, image in zip(names, images, strict=True):
            pictures[name, f"{strength:g}"] = thumbnail(image)
    return pictures


def save_pictures(folder: Path, pictures: Pictures) -> None:
    """Keep pictures in a run's folder, atomically."""
    table = pd.DataFrame(
        {
            "image": [name for name, _ in pictures],
            "variant": [variant for _, variant in pictures],
            "jpeg": list(pictures.values()),
        }
    )
    with draft_of(folder / FILE) as draft:
        table.to_parquet(draft, index=False)


def load_pictures(folder: Path) -> Pictures:
    """The pictures that a run's folder keeps; none where there is no file."""
    if not (folder / FILE).is_file():
        return {}
    table = pd.read_parquet(folder / FILE)
    keys = zip(table["image"], table["variant"], strict=True)
    return dict(zip(keys, table["jpeg"], strict=True))


def thumbnail_of(pictures: Pictures, image: str) -> str | None:
    """An image as a data URI; None where no picture of it was kept."""
    data = pictures.get((image, _PLAIN))
    return None if data is None else data_uri(data)


def previews_of(pictures: Pictures) -> list[dict[str, object]]:
    """The augmentation preview, one row per image: image and cells (strength, data URI)."""
    names = [name for name, variant in pictures if variant == "0"]
    variants = ("0", *(f"{strength:g}" for strength in STRENGTHS))
    return [
        {
            "image": name,
            "cells": [
                {"strength": variant, "uri": data_uri(pictures[name, variant])}
                for variant in variants
                if (name, variant) in pictures
            ],
        }
        for name in names
    ]


def _pixels(cache: ImageCache, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Some images, uint8 [n, H, W, 3]."""
    if not len(rows):
        return np.zeros((0, *cache.images.shape[1:]), np.uint8)
    if isinstance(cache.images, ImageStream):
        return next(cache.images.read([rows]))
    return np.array(cache.images[rows])
