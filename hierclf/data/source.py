"""The set of labelled images, the same for every layout."""

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
    """A labelled set of images; its table is checked, its pixels are not read yet.

    Attributes:
        name: a short name for messages.
        images: N image names as in the data, all different; outputs use them.
        super_labels: int64 [N], model indices; NOVEL allowed only in a test source.
        sub_labels: int64 [N], as above.
        hierarchy: the known classes; each has images in the set.
        read: returns the encoded bytes of image i (or a uint8 [H, W, 3] array); thread-safe;
            raises ValueError or OSError if the image cannot be read.
        fingerprint: a hash in hex that changes with the content, computed without reading images.
        problems: the problems that are not fatal.
        missing: position -> reason for each image that is named but cannot be found.
        parquet: where the images are in Parquet files; None for other layouts.
        groups: int64 [N], the same number for images that every split keeps on one side; None if
            the data do not name groups.
        is_val: bool [N], the data's own validation images; None without an own split.
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
