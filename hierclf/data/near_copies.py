"""Near-copies: one picture under two names, encoded, sized or lit anew.

Each image has two 64-bit perceptual hashes, of its coarse frequencies and of its gradients. Copies
made by JPEG (quality 20 and more), resizing by half or 20 % more light differ in 0 to 4 and 0 to 6
bits; other images rarely differ in as few bits of both.

Source: pHash and dHash, Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010, and the imagehash package.

Shape legend: N images, H height, W width.
"""

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hierclf.data.cache import ImageCache, read_rows
from hierclf.data.images import map_ordered
from hierclf.io.atomic import draft_of

_MAX_BITS = 5, 8  # of the frequencies and of the gradients
_LEAST_CONTRAST = 4.0  # standard deviation of grey levels 0..255
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
    runs = (_runs(unique[:, i], bits) for i, bits in enumerate(_MAX_BITS))
    for frequency, gradient in product(*runs):
        close = _close_pairs(unique, frequency << np.uint32(16) | gradient)
        found.append(np.sort(first[close], axis=1))
    return np.unique(np.concatenate(found), axis=0).astype(np.int64)


def _runs(hashes: NDArray[np.uint64], bits: int) -> list[NDArray[np.uint32]]:
    """Runs of bits of each hash; hashes that differ in at most `bits` bits agree in one of them."""
    ends = np.linspace(0, 64, bits + 2).round().astype(int).tolist()
    return [
        ((hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)).astype(np.uint32)
        for low, high in pairwise(ends)
    ]


def _close_pairs(unique: NDArray[np.uint64], key: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Pairs [M, 2] of rows with equal keys that differ in few enough bits of both hashes."""
    order = np.argsort(key, kind="stable")
    ends = np.searchsorted(key[order], key[order], side="right")
    found, left, step = [np.empty((0, 2), dtype=np.int64)], np.arange(len(order)), 1
    # Each row beside the next one of its key, then beside the one after that, and so on.
    while len(left := left[left + step < ends[left]]):
        pairs = np.column_stack([order[left], order[left + step]])
        differing = np.bitwise_count(unique[pairs[:, 0]] ^ unique[pairs[:, 1]])
        found.append(pairs[(differing <= _MAX_BITS).all(axis=1)])
        step += 1
    return np.concatenate(found)
