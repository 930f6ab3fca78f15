"""Large sets made by code: classes, features, logits, score tables and tables of images.

Shape legend: N images, C sub-classes, D features.
"""

import csv
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy
from tests.benchmarks.drawn import jpegs, pixels
from tests.drawn_tables import N_SUB_FOLDS, draw_table

SUBS_A_SUPER = 10
SUPER_FOLDS = 5
_ROWS = 50_000


class Size(NamedTuple):
    """How large a set is: N images, C sub-classes (a tenth as many super-classes), D features."""

    rows: int
    subs: int
    width: int

    @property
    def supers(self) -> int:
        """S, the number of super-classes."""
        return self.subs // SUBS_A_SUPER


def hierarchy(size: Size) -> Hierarchy:
    """The classes; sub-class i is of super-class i % S."""
    return Hierarchy(
        super_names=tuple(f"super {i}" for i in range(size.supers)),
        sub_names=tuple(f"sub {i}" for i in range(size.subs)),
        sub_to_super=tuple(i % size.supers for i in range(size.subs)),
        super_ids=tuple(range(size.supers)),
        sub_ids=tuple(range(size.subs)),
        novel_super_id=size.supers,
        novel_sub_id=size.subs,
    )


def sub_labels(size: Size) -> np.ndarray:
    """The sub-class of each image, int64 [N], all as often, in random order."""
    return np.random.default_rng(1).permutation(np.arange(size.rows, dtype=np.int64) % size.subs)


def features(size: Size) -> np.ndarray:
    """float32 [N, D]: a normal cloud around each class's own place."""
    rng = np.random.default_rng(2)
    places = 2 * rng.standard_normal((size.subs, size.width), dtype=np.float32)
    found = np.empty((size.rows, size.width), np.float32)
    labels = sub_labels(size)
    for start in range(0, size.rows, _ROWS):
        own = labels[start : start + _ROWS]
        noise = rng.standard_normal((len(own), size.width), dtype=np.float32)
        found[start : start + _ROWS] = places[own] + noise
    return found


def logits(size: Size) -> np.ndarray:
    """float32 [N, C], the true class's larger by 8."""
    drawn = np.random.default_rng(3).standard_normal((size.rows, size.subs), dtype=np.float32)
    drawn[np.arange(size.rows), sub_labels(size)] += 8
    return drawn


def table(size: Size) -> pd.DataFrame:
    """A score table of N rows."""
    return draw_table(
        size.rows, n_super=size.supers, n_sub=size.subs, n_super_folds=min(SUPER_FOLDS, size.supers)
    )


def parts(size: Size) -> np.ndarray:
    """The part of each sub-class, int64 [C], as the folds of `table` hide them."""
    return np.arange(size.subs) // size.supers % N_SUB_FOLDS


def image_cache(size: Size) -> ImageCache:
    """The images as a decoded set of one pixel each."""
    labels = sub_labels(size)
    return ImageCache(
        images=np.zeros((size.rows, 1, 1, 3), np.uint8),
        names=[f"{i}.jpg" for i in range(size.rows)],
        super_labels=labels % size.supers,
        sub_labels=labels,
        hierarchy=hierarchy(size),
        fingerprint="drawn",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
    )


def write_parquet(size: Size, path: Path, *, side: int | None = None) -> None:
    """A Parquet set with class names in text, in row groups of 1,000.

    Args:
        side: of the images in pixels, no two of which are alike; None for one tiny image each time.
    """
    labels, classes = sub_labels(size), hierarchy(size)
    image = jpegs(pixels(1, side=8))[0]
    names = ("image", "superclass", "subclass")
    types = (pa.binary(), pa.string(), pa.string())
    schema = pa.schema(list(zip(names, types, strict=True)))
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, size.rows, 1000):
            own = labels[start : start + 1000]
            drawn = None if side is None else jpegs(pixels(len(own), side, seed=start))
            columns = (
                drawn or [image] * len(own),
                [classes.super_names[i] for i in own % size.supers],
                [classes.sub_names[i] for i in own],
            )
            writer.write_table(pa.table(list(columns), schema=schema))


def write_csv(size: Size, folder: Path) -> None:
    """A table of file names and classes in text beside a zip of the files."""
    labels, classes = sub_labels(size), hierarchy(size)
    image = jpegs(pixels(1, side=8))[0]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i in range(size.rows):
            archive.writestr(f"{i:07}.jpg", image)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "superclass", "subclass"))
        for i, sub in enumerate(labels.tolist()):
            own = classes.super_names[sub % size.supers], classes.sub_names[sub]
            writer.writerow((f"{i:07}.jpg", *own))
