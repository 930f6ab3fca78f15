"""Decode every image of a source once, into one memory-mapped array that all processes share.

Each cache has its own folder, named by a hash of the source's fingerprint, the size and the
conversion: an old cache is never used for changed data or settings.

Shape legend: N readable images, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.data.cache_build import (
    DIGESTS,
    MIXED_SIZE,
    QUARANTINE,
    REPEATS,
    build_cache,
)
from hierclf.data.images import CONVERSION_VERSION
from hierclf.data.source import Source
from hierclf.data.stream import ImageStream
from hierclf.hierarchy import Hierarchy
from hierclf.io.locks import locked
from hierclf.progress import Progress

__all__ = ["ImageCache", "default_cache_dir", "load_cache", "open_cache", "read_rows"]

# To be raised when the files of a cache change.
_SCHEMA = 2
_ARRAYS = ("super_labels", "sub_labels", "groups", "is_val")  # one value per image each
KEPT_BYTES = 1 << 30
"""Pages that were read from a larger memory map do not stay in the process."""


def default_cache_dir() -> Path:
    """The folder that the environment variable HIERCLF_CACHE names, else ~/.cache/hierclf."""
    named = os.environ.get("HIERCLF_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "hierclf"


def open_cache(
    source: Source,
    *,
    size: int | None,
    directory: Path,
    max_bad_share: float = 0.01,
    progress: Progress | None = None,
) -> ImageCache:
    """Open the cache of a source; build it if it is missing or damaged.

    Several processes may call this at once: one builds, the others wait for it.

    Args:
        source: what to decode.
        size: side of the square that each image becomes (shorter side resized, centre crop). None
            keeps the images' size, or takes 256 if their sizes differ.
        directory: folder of all caches, created if missing; see `default_cache_dir`.
        max_bad_share: largest fraction of images, 0..1, that may be unreadable and left out.
        progress: called as (done, total) during the build; not called if the cache exists.

    Raises:
        ValueError: too many images are unreadable, a sub-class has fewer than 2 readable ones,
            there is too little disk space, or an argument is out of range.
    """
    if size is not None and size < 1:
        raise ValueError(f"`size >= 1` must hold for the image cache, but got size={size}")
    if not 0 <= max_bad_share <= 1:
        raise ValueError(
            f"`0 <= max_bad_share <= 1` must hold, but got max_bad_share={max_bad_share}"
        )
    fingerprint = cache_key(source, size)
    path = directory / fingerprint[:24]
    cache = _load_valid(path, fingerprint)
    if cache is None:
        try:
            with locked(directory / f"{path.name}.lock"):
                cache = _load_valid(path, fingerprint)  # another process may have built it
                if cache is None:
                    build_cache(source, size, path, fingerprint, progress)
                    cache = load_cache(path)
        except OSError as error:
            raise ValueError(
                f"the image cache in {directory} cannot be written: {error.strerror or error} "
                "(set HIERCLF_CACHE to name another folder)"
            ) from error
    check_quarantine(source, cache.quarantine, max_bad_share)
    return cache


def load_cache(path: Path) -> ImageCache:
    """Open a finished cache folder, such as another process's `ImageCache.path`.

    Raises:
        ValueError: the folder is not a complete cache.
    """
    try:
        return _load(path)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a complete image cache: {error}") from error


def read_rows(images: NDArray[np.uint8], rows: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
    """A copy of some rows, uint8 [B, H, W, 3]; repeated reads do not let the process grow.

    The system counts the touched pages of a memory map as the process's memory, so that reading a
    large set would seem to fill it. The process releases these pages after each read; they remain
    in the system's page cache.
    """
    batch = images[rows].copy() if isinstance(rows, slice) else images[rows]
    if images.nbytes > KEPT_BYTES and isinstance(images.base, mmap.mmap):
        images.base.madvise(mmap.MADV_DONTNEED)
    return batch


def cache_key(source: Source, size: int | None) -> str:
    """A hash in hex, which changes with the source, the size and the conversion."""
    parts = [_SCHEMA, CONVERSION_VERSION, source.fingerprint, size, MIXED_SIZE]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# --- reading ---------------------------------------------------------------------------------


def _load_valid(path: Path, fingerprint: str) -> ImageCache | None:
    """The cache in `path`, or None if it is missing, damaged or another source's."""
    try:
        cache = _load(path)
    except (OSError, KeyError, TypeError, ValueError):
        return None
    return cache if cache.fingerprint == fingerprint else None


def _load(path: Path) -> ImageCache:
    meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    shape = tuple(meta["shape"])
    pixels = path / "images.u8"
    if pixels.stat().st_size != int(np.prod(shape)):
        raise ValueError(f"images.u8 holds {pixels.stat().st_size} bytes, not {np.prod(shape)}")
    return read_tables(path, lambda meta: np.memmap(pixels, np.uint8, mode="r", shape=shape))


def read_tables(
    path: Path, images_of: Callable[[dict[str, Any]], NDArray[np.uint8] | ImageStream]
) -> ImageCache:
    """Read the tables that `cache_build.write_tables` wrote, and add the images.

    Args:
        path: the folder of the tables.
        images_of: makes the images from the content of meta.json.

    Raises:
        OSError, KeyError, TypeError, ValueError: a file is missing or damaged.
    """
    meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    shape = tuple(meta["shape"])
    arrays = {name: _read_array(path / f"{name}.npy", shape[0]) for name in _ARRAYS}
    if arrays["super_labels"] is None or arrays["sub_labels"] is None:
        raise ValueError("the labels are missing")
    if len(meta["names"]) != shape[0]:
        raise ValueError("the names do not match the images")
    quarantine = _read_list(path / "quarantine.csv", QUARANTINE, meta["quarantined"])
    repeats = _read_list(path / "repeats.csv", REPEATS, meta["repeated"])
    digests = np.load(path / DIGESTS, allow_pickle=False)
    if digests.shape != (shape[0], 32) or digests.dtype != np.uint8:
        raise ValueError(f"{DIGESTS} does not match the images")
    return ImageCache(
        images=images_of(meta),
        names=meta["names"],
        super_labels=arrays["super_labels"],
        sub_labels=arrays["sub_labels"],
        hierarchy=Hierarchy.from_dict(meta["hierarchy"]),
        fingerprint=meta["fingerprint"],
        quarantine=quarantine,
        repeats=repeats,
        digests=digests,
        path=path,
        groups=arrays["groups"],
        is_val=arrays["is_val"],
    )


def _read_array(path: Path, n_images: int) -> NDArray[Any] | None:
    """One value per image; None if the file does not exist."""
    if not path.is_file():
        return None
    array = np.load(path, allow_pickle=False)
    if array.shape != (n_images,) or array.dtype != (
        np.bool_ if path.stem == "is_val" else np.int64
    ):
        raise ValueError(f"{path.name} does not match the images")
    return array


def _read_list(path: Path, columns: list[str], rows: int) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if list(table.columns) != columns or len(table) != rows:
        raise ValueError(f"{path.name} is damaged")
    return table


def check_quarantine(source: Source, quarantine: pd.DataFrame, max_bad_share: float) -> None:
    """Refuse a set with too many unreadable images, or with a class that they leave too small."""
    bad, total = len(quarantine), len(source.images)
    if bad == 0:
        return
    first = f"first: {quarantine.image.iloc[0]}: {quarantine.reason.iloc[0]}"
    if bad > max_bad_share * total:
        raise ValueError(
            f"{bad} of {total} images ({bad / total:.1%}) cannot be read, "
            f"more than max_bad_share={max_bad_share} allows; {first}"
        )
    index = {name: i for i, name in enumerate(source.images)}
    lost = source.sub_labels[[index[name] for name in quarantine.image]]
    for label in np.unique(lost[lost >= 0]):
        left = int((source.sub_labels == label).sum() - (lost == label).sum())
        if left < 2:
            raise ValueError(
                f"every sub-class needs at least 2 readable images, but "
                f"{source.hierarchy.sub_name(int(label))!r} has {left}; {first}"
            )


@dataclass(frozen=True)
class ImageCache:
    """The decoded images of a source with their labels; read-only.

    Attributes:
        images: uint8 [N, H, W, 3], a read-only memory map; or a stream of that shape.
        names: N image names as in the data.
        super_labels: int64 [N], model indices; NOVEL allowed only in a test source.
        sub_labels: int64 [N], as above.
        hierarchy: the classes to which the labels refer.
        fingerprint: a hash in hex, which changes with the source, the size and the conversion.
        quarantine: columns image and reason: the unreadable images, which are left out.
        path: the cache's folder; None for a cache made in memory.
        repeats: columns image and same_as: the images with the same pixels as an earlier one.
        groups: int64 [N], the same number for images that every split keeps on one side; None if
            each image is on its own.
        is_val: bool [N], the user's own validation images; None without an own split.
        digests: uint8 [N, 32], SHA-256 of each image's pixels; None for a cache made in memory.
    """

    images: NDArray[np.uint8] | ImageStream
    names: list[str]
    super_labels: NDArray[np.int64]
    sub_labels: NDArray[np.int64]
    hierarchy: Hierarchy
    fingerprint: str
    quarantine: pd.DataFrame
    path: Path | None = None
    repeats: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=REPEATS))
    groups: NDArray[np.int64] | None = None
    is_val: NDArray[np.bool_] | None = None
    digests: NDArray[np.uint8] | None = None

    @property
    def content(self) -> str:
        """A hash in hex, equal for the same labelled pixels, whatever the files' names and order.

        For a cache made in memory, it is the fingerprint.
        """
        if self.digests is None:
            return self.fingerprint
        labels = np.stack([self.super_labels, self.sub_labels], axis=1).astype("<i8")
        rows = np.concatenate([self.digests, labels.view(np.uint8)], axis=1)
        digest = hashlib.sha256(json.dumps(self.hierarchy.to_dict(), sort_keys=True).encode())
        digest.update(b"".join(sorted(map(bytes, rows))))
        return digest.hexdigest()

    @property
    def pixels(self) -> str:
        """A hash in hex, equal for the same images in the same order, whatever they are called.

        For a cache made in memory, it is the fingerprint.
        """
        if self.digests is None:
            return self.fingerprint
        digest = hashlib.sha256(json.dumps(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.digests).data)
        return digest.hexdigest()

    @property
    def pictures(self) -> NDArray[np.int64]:
        """int64 [N], the same number for images with equal pixels; all differ without digests."""
        if self.digests is None:
            return np.arange(len(self.names))
        return np.unique(self.digests, axis=0, return_inverse=True)[1].reshape(-1)
