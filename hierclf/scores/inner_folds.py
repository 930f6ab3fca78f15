"""Inner class-holdout folds: known classes are left out of a fit, as pseudo-novel ones.

Shape legend: M training images.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import Level
from hierclf.scores.base import Labels, labels_of

PARTS = 5


class InnerFold(NamedTuple):
    """Rows of training images, int64, pairwise disjoint.

    Attributes:
        train: of the classes that stay, to fit distances on.
        known: about a fifth of the images of the same classes, with their sub-classes in `train`.
        novel: all images of the classes that are left out.
    """

    train: NDArray[np.int64]
    known: NDArray[np.int64]
    novel: NDArray[np.int64]


def inner_folds(labels: Labels, level: Level, *, seed: int) -> Iterator[InnerFold]:
    """Leave out each class of a level once, a fifth of the classes at a time.

    At level "sub", the sub-classes of a super-class are spread over the folds, so that those left
    out have siblings that stay: near novelty. At level "super", whole super-classes are left out:
    far novelty.

    Args:
        labels: of M images.
        level: whose classes are left out.
        seed: of what is left out together and of the known images.

    Yields:
        Up to 5 folds, each with a class that stays; none of a single class.
    """
    rng = np.random.default_rng(seed)
    parts = _parts(labels, level, rng)
    n_parts = int(parts.max()) + 1
    for part in range(n_parts if n_parts > 1 else 0):
        known = _one_in_five(labels.sub_labels, rng) & (parts != part)
        yield InnerFold(
            train=np.flatnonzero((parts != part) & ~known),
            known=np.flatnonzero(known),
            novel=np.flatnonzero(parts == part),
        )


def _parts(labels: Labels, level: Level, rng: np.random.Generator) -> NDArray[np.int64]:
    """In which fold each image is left out, int64 [M]."""
    classes, first, index = np.unique(
        labels_of(labels, level), return_index=True, return_inverse=True
    )
    shuffled = rng.permutation(len(classes))
    order = shuffled[np.argsort(labels.super_labels[first][shuffled], kind="stable")]
    part = np.empty(len(classes), dtype=np.int64)
    part[order] = np.arange(len(classes)) % PARTS
    return part[index]


def _one_in_five(sub_labels: np.ndarray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A fifth of each sub-class, at least one image, none of a sub-class of 1 or 2: bool [M]."""
    shuffled = rng.permutation(len(sub_labels))
    order = shuffled[np.argsort(sub_labels[shuffled], kind="stable")]
    _, first, counts = np.unique(sub_labels[order], return_index=True, return_counts=True)
    taken = np.where(counts < 3, 0, np.maximum(counts // 5, 1))
    chosen = np.zeros(len(sub_labels), dtype=np.bool_)
    chosen[order] = np.arange(len(order)) - np.repeat(first, counts) < np.repeat(taken, counts)
    return chosen
