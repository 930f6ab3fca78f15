"""Near-copies: one picture under two names, encoded, sized or lit anew.

Each image has two 64-bit perceptual hashes, of its coarse frequencies and of its gradients. Copies
made by JPEG (quality 20 and more), resizing by half or 20 % more light differ in 0 to 4 and 0 to 6
bits; other images rarely differ in as few bits of both.

Source: pHash and dHash, Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010, and the imagehash package.

Shape legend: N images, H height, W width.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hierclf.data.cache import ImageCache, read_rows
from hierclf.data.images import map_ordered
from hierclf.io.atomic import draft_of

_MAX_FREQUENCY_BITS, _MAX_GRADIENT_BITS = 5, 8
_LEAST_CONTRAST = 4.0  # standard deviation of grey levels 0..255
# Hashes that differ in at most 5 bits agree in at least one of 6 runs of bits.
_RUNS = [*pairwise(np.linspace(0, 64, _MAX_FREQUENCY_BITS + 2).round().astype(int).tolist())]
_PAIRS_AT_ONCE = 1 << 22
_PART = 64  # images read at once
HASHES = "hashes.npy"
"""The file of a cache's hashes, in its folder."""


def image_hash(image: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The hashes of one image: uint8 [H, W, 3] -> uint64 [2], frequencies and gradients.

    Zeros for an image without structure, such as a blank page: all of these would be copies.
    """
    grey = Image.fromarray(image).convert("L")
    coarse = np.asarray(grey.resize((32, 32), Image.Resampling.BOX), dtype=np.float64)
    if coarse.std() < _LEAST_CONTRAST:
        return np.zeros(2, dtype=np.uint64)
    from scipy.fft import dctn  # processes that train import this file and hash nothing

    waves = dctn(coarse, norm="ortho")[:8, :8].ravel()
    steps = np.diff(np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16), axis=1)
    bits = np.stack([waves > np.median(waves[1:]), steps.ravel() > 0])
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def open_hashes(cache: ImageCache) -> NDArray[np.uint64] | None:
    """`image_hash` of every image, uint64 [N, 2], computed once and kept beside the images.

    None for a stream whose tables were made without them.
    """
    path = None if cache.path is None else cache.path / HASHES
    if path is not None and path.is_file():
        return np.load(path, allow_pickle=False)
    images = cache.images
    if not isinstance(images, np.ndarray):
        return None

    def hashes(part: int) -> NDArray[np.uint64]:
        rows = slice(part * _PART, (part + 1) * _PART)
        return np.stack([image_hash(image) for image in read_rows(images, rows)])

    found = np.concatenate(list(map_ordered(hashes, -(-len(images) // _PART))))
    if path is not None:
        with draft_of(path) as draft, draft.open("wb") as file:
            np.save(file, found, allow_pickle=False)
    return found


def near_copies(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs of images that are near-copies of each other.

    Args:
        hashes: uint64 [N, 2], `image_hash` of each image.

    Returns:
        int64 [M, 2], rows of `hashes`; the smaller row of a pair is first. Of images with equal
        hashes, each is paired with the first of them only.
    """
    rows = np.flatnonzero(hashes.any(axis=1))
    unique, first, number = np.unique(hashes[rows], axis=0, return_index=True, return_inverse=True)
    earlier, first = rows[first[number.reshape(-1)]], rows[first]
    later = earlier < rows
    found = [np.column_stack([earlier[later], rows[later]])]
    for low, high in _RUNS:
        run = (unique[:, 0] >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(run, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(run[order])) + 1):
            found += [np.sort(first[pair], axis=1) for pair in _close_pairs(unique, bucket)]
    return np.unique(np.concatenate(found), axis=0).astype(np.int64)


def _close_pairs(unique: NDArray[np.uint64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Pairs [M, 2] of some rows of `unique` that differ in few enough bits of both hashes."""
    found = []
    step = max(1, _PAIRS_AT_ONCE // max(1, len(rows)))
    for start in range(0, len(rows) - 1, step):
        part = rows[start : start + step]
        differing = np.bitwise_count(unique[part, None] ^ unique[None, rows])
        close = (differing <= (_MAX_FREQUENCY_BITS, _MAX_GRADIENT_BITS)).all(axis=2)
        left, right = np.nonzero(close & (part[:, None] < rows[None]))
        if len(left):
            found.append(np.column_stack([part[left], rows[right]]))
    return found
