"""Images and image sets made by code, so that a figure needs no data."""

import io

import numpy as np
import pandas as pd
from PIL import Image

from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy

# The paper's: 3 super-classes with 29 sub-classes each.
N_SUPER, N_SUB = 3, 87
HIERARCHY = Hierarchy(
    super_names=tuple(f"super {i}" for i in range(N_SUPER)),
    sub_names=tuple(f"sub {i}" for i in range(N_SUB)),
    sub_to_super=tuple(i % N_SUPER for i in range(N_SUB)),
    super_ids=tuple(range(N_SUPER)),
    sub_ids=tuple(range(N_SUB)),
    novel_super_id=N_SUPER,
    novel_sub_id=N_SUB,
)


def pixels(n: int, side: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth random patterns, uint8 [n, side, side, 3]; the same at every call."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 9, 9, 3), dtype=np.uint8)
    size = (side, side)
    return np.stack([_resized(image, size) for image in coarse])


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def jpegs(images: np.ndarray) -> list[bytes]:
    """Each image as a JPEG file."""
    encoded = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return encoded


def image_cache(images: np.ndarray) -> ImageCache:
    """The images as a decoded set in memory, of classes that take turns."""
    sub_labels = np.arange(len(images), dtype=np.int64) % N_SUB
    return ImageCache(
        images=images,
        names=[f"{i}.jpg" for i in range(len(images))],
        super_labels=sub_labels % N_SUPER,
        sub_labels=sub_labels,
        hierarchy=HIERARCHY,
        fingerprint="drawn",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
    )
