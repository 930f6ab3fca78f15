"""One pass over the pictures of a source: what can be read, its figures, and copies.

Shape legend: N images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hierclf.data.images import map_ordered, pixel_digest, read_rgb
from hierclf.data.near_copies import image_hash, near_copies
from hierclf.data.source import Source
from hierclf.inspection.measures import Measures, measure
from hierclf.progress import Progress


@dataclass(frozen=True, eq=False)
class Pictures:
    """What one pass over the pictures of a source found.

    Attributes:
        measures: float64 [N, 6], the figures of `Measures`; NaN for what cannot be read.
        unreadable: reason by row, also of images that cannot be found.
        same: (earlier, later) rows of the same pixels; the earlier one is the first of its kind.
        near: int64 [M, 2], rows of near-copies, without those of the same pixels.
    """

    measures: NDArray[np.float64]
    unreadable: dict[int, str]
    same: list[tuple[int, int]]
    near: NDArray[np.int64]

    def figure(self, name: str) -> NDArray[np.float64]:
        """One figure of every image, float64 [N]."""
        return self.measures[:, Measures._fields.index(name)]


def read_pictures(source: Source, *, progress: Progress | None = None) -> Pictures:
    """Decode every image of a source once; one that cannot be read is noted.

    Args:
        source: what to read.
        progress: called as (done, total).
    """

    def attempt(index: int) -> str | tuple[bytes, NDArray[np.uint64], Measures]:
        try:
            image = read_rgb(source.read, index)
        except ValueError as error:
            return str(error)
        return pixel_digest(image), image_hash(image), measure(image)

    total = len(source.images)
    measures = np.full((total, len(Measures._fields)), np.nan)
    hashes = np.zeros((total, 2), dtype=np.uint64)
    unreadable: dict[int, str] = {}
    same: list[tuple[int, int]] = []
    digests: dict[bytes, int] = {}
    for index, result in enumerate(map_ordered(attempt, total)):
        if isinstance(result, str):
            unreadable[index] = result
        else:
            digest, image_bits, measures[index] = result
            earlier = digests.setdefault(digest, index)
            if earlier == index:
                hashes[index] = image_bits
            else:
                same.append((earlier, index))
        if progress is not None:
            progress(index + 1, total)
    return Pictures(measures, unreadable, same, near_copies(hashes))


def linked(pairs: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Rows that pairs link, directly or by others, in groups of two or more.

    Args:
        pairs: of rows in 0..count-1.
        count: how many rows there are.
    """
    if not pairs:
        return []
    first, second = np.array(pairs).T
    links = coo_array((np.ones(len(pairs), dtype=np.int8), (first, second)), (count, count))
    component = connected_components(links, directed=False)[1]
    members: dict[int, list[int]] = {}
    for row in np.unique(np.array(pairs)).tolist():
        members.setdefault(int(component[row]), []).append(row)
    return list(members.values())
