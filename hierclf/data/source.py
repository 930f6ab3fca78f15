"""The labelled set of images that every layout is read into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hierclf.data.listing import (
    Problem,
)
from hierclf.data.parquet_images import ParquetImages
from hierclf.hierarchy import Hierarchy


@dataclass(frozen=True)
class Source:
    """A labelled set of images whose table is checked and whose pixels are not read yet.

    Attributes:
        name: short, for people.
        images: N image names as in the data, all different; outputs use them.
        super_labels: int64 [N], model indices; NOVEL allowed only in a test source.
        sub_labels: int64 [N], as above.
        hierarchy: the known classes, each of which has images here.
        read: encoded bytes of image i (or a uint8 [H, W, 3] array), safe among threads; raises
            ValueError or OSError where it cannot be read.
        fingerprint: hex; changes when the content changes. Computing it reads no image.
        problems: what is wrong but does not stop.
        missing: position -> reason of the images that are named but cannot be found.
        parquet: where the images are in Parquet files; None for other layouts.
        groups: int64 [N], the same number for images that every split keeps on one side; None
            where the data do not name groups.
        is_val: bool [N], the images that the data keep for validation; None where they keep none.
    """

    name: str
    images: list[str]
    super_labels: NDArray[np.int64]
    sub_labels: NDArray[np.int64]
    hierarchy: Hierarchy
    read: Callable[[int], bytes | NDArray[np.uint8]]
    fingerprint: str
    problems: list[Problem]
    missing: Mapping[int, str] = field(default_factory=dict)
    parquet: ParquetImages | None = None
    groups: NDArray[np.int64] | None = None
    is_val: NDArray[np.bool_] | None = None
