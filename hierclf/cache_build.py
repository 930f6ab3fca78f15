"""Write the files of an image cache: all of them or none.

images.u8 holds the raw pixels, row after row; super_labels.npy and sub_labels.npy the labels;
quarantine.csv what could not be read; meta.json the rest. They are written beside their place,
flushed to disk and renamed: a folder of the final name is complete.

Shape legend: N readable images, H height, W width.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.images import fit_square, map_ordered, read_rgb
from hierclf.sources import Source

ProgressFn = Callable[[int, int], None]

LEVELS = ("super", "sub")
QUARANTINE = ["image", "reason"]
# Side of the squares where a source's images differ in size and no size is set.
MIXED_SIZE = 256


def build_cache(
    source: Source,
    size: int | None,
    path: Path,
    fingerprint: str,
    progress: ProgressFn | None,
) -> None:
    """Write the cache folder `path`. The caller holds its lock, so that leftovers are garbage."""
    temporary, replaced = path.with_name(f"{path.name}.tmp"), path.with_name(f"{path.name}.old")
    for leftover in (temporary, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        written = _write_images(source, size, temporary, progress)
        if written is None:
            written = _write_images(source, MIXED_SIZE, temporary, progress)
            assert written is not None
        _write_tables(source, written, fingerprint, temporary)
        _sync(temporary)
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
        _sync(path.parent)
    finally:
        for leftover in (temporary, replaced):
            shutil.rmtree(leftover, ignore_errors=True)


def _write_images(
    source: Source, size: int | None, folder: Path, progress: ProgressFn | None
) -> _Written | None:
    """Decode all images into images.u8. None: no size was set and the images differ in size."""

    def attempt(index: int) -> NDArray[np.uint8] | str:
        try:
            image = read_rgb(source.read, index)
        except ValueError as error:
            return str(error)
        return image if size is None else fit_square(image, size)

    total = len(source.images)
    kept: list[int] = []
    quarantine: list[tuple[str, str]] = []
    shape: tuple[int, ...] | None = None
    need = ""
    try:
        with (folder / "images.u8").open("wb") as file:
            for index, result in enumerate(map_ordered(attempt, total)):
                if isinstance(result, str):
                    quarantine.append((source.images[index], result))
                else:
                    if shape is None:
                        shape = result.shape
                        need = _check_space(folder.parent, total, shape)
                    elif shape != result.shape:
                        return None
                    # Writing, not mapping: a full disk is then an error and not a killed process.
                    file.write(np.ascontiguousarray(result).data)
                    kept.append(index)
                if progress is not None:
                    progress(index + 1, total)
            _flush(file)
    except OSError as error:  # from writing: what cannot be read comes back as its reason
        raise ValueError(f"{need}, but: {error.strerror or error}") from error
    return _Written(np.array(kept, dtype=np.int64), shape, quarantine)


def _write_tables(source: Source, written: _Written, fingerprint: str, folder: Path) -> None:
    quarantine = pd.DataFrame(written.quarantine, columns=QUARANTINE)
    if written.shape is None:
        raise ValueError(
            f"none of the {len(source.images)} images can be read; "
            f"first: {quarantine.image[0]}: {quarantine.reason[0]}"
        )
    for level, labels in zip(LEVELS, (source.super_labels, source.sub_labels), strict=True):
        with (folder / f"{level}_labels.npy").open("wb") as file:
            np.save(file, labels[written.kept].astype(np.int64), allow_pickle=False)
            _flush(file)
    meta: dict[str, Any] = {
        "fingerprint": fingerprint,
        "source": source.name,
        "shape": [len(written.kept), *written.shape],
        "quarantined": len(quarantine),
        "hierarchy": source.hierarchy.to_dict(),
        "names": [source.images[i] for i in written.kept],
    }
    texts = {"meta.json": json.dumps(meta), "quarantine.csv": quarantine.to_csv(index=False)}
    for name, text in texts.items():
        with (folder / name).open("wb") as file:
            file.write(text.encode("utf-8"))
            _flush(file)


def _check_space(directory: Path, total: int, shape: tuple[int, ...]) -> str:
    """Refuse a cache that cannot fit; else the words that say what it needs."""
    need, free = total * math.prod(shape), shutil.disk_usage(directory).free
    words = (
        f"the image cache in {directory} needs {need / 1e9:.2f} GB for {total} images of "
        f"{shape[1]} x {shape[0]} (a smaller size needs less; HIERCLF_CACHE names another folder)"
    )
    if need > free:
        raise ValueError(f"{words}, but {free / 1e9:.2f} GB are free")
    return words


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make a folder's entries durable: a rename counts only once its folder is on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class _Written:
    """What one pass over the images wrote."""

    kept: NDArray[np.int64]  # [N] positions in the source
    shape: tuple[int, ...] | None  # (H, W, 3); None where no image could be read
    quarantine: list[tuple[str, str]]  # (image, reason)
