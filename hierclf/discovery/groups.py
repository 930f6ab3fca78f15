"""Groups of images that look like one class, at a distance learned from the known classes.

Complete linkage merges the groups whose farthest images are nearest, so that a group is as wide as
the distance at which merging ends. That distance is the one at which the known sub-classes of a
super-class come out best; the labels of the new images, which do not exist, are not needed.

Shape legend: N images, M training images, D features.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

ALONE = -1
"""In place of a group's number, for an image that is like too few others."""
MIN_IMAGES = 3
"""Of a group."""
MAX_IMAGES = 5_000
"""Distances of all pairs are in memory: 100 MB for so many images."""
_PER_CLASS = 25
_DISTANCES = np.linspace(0.05, 1.95, 39)


class Spread(NamedTuple):
    """How far the images of one class lie apart.

    Attributes:
        centre: float32 [D], mean of the known classes' unit features: distances are those of
            directions seen from there.
        distance: cosine distance, in [0, 2], up to which images form one group.
        agreement: adjusted Rand index of such groups with the known sub-classes, 1 for equal and
            about 0 for random ones; each half of the classes is judged at the distance that the
            other half chose. None where a half has no super-class of two sub-classes.
    """

    centre: NDArray[np.float32]
    distance: float
    agreement: float | None


def learn_spread(
    bank: NDArray[np.float32],
    sub_labels: NDArray[np.int64],
    sub_to_super: NDArray[np.int64],
    *,
    seed: int = 0,
) -> Spread:
    """Choose the distance at which known sub-classes come out best, within each super-class.

    Args:
        bank: float32 [M, D], unit features of training images.
        sub_labels: int64 [M], 0..C-1.
        sub_to_super: int64 [C].
        seed: of the images drawn, at most 25 of a sub-class, and of the halves.

    Raises:
        ValueError: no super-class has two sub-classes of two images.
    """
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(sub_labels == c))[:_PER_CLASS] for c in _known(sub_labels)]
    )
    centre = bank.mean(axis=0)
    directions, labels = _directions(bank[rows], centre), sub_labels[rows]
    curves = {
        half: _agreements(directions, labels, sub_to_super, half)
        for half in (None, *_halves(_known(labels), sub_to_super, rng))
    }
    whole = curves.pop(None)
    if whole is None:
        raise ValueError(
            "groups need a known super-class with two sub-classes of two images, but there is none"
        )
    first, second = curves.values()
    judged = None
    if first is not None and second is not None:
        judged = float(first[second.argmax()] + second[first.argmax()]) / 2
    return Spread(centre, float(_DISTANCES[whole.argmax()]), judged)


def find_groups(features: NDArray[np.float32], spread: Spread) -> NDArray[np.int64]:
    """Group images of one super-class.

    Args:
        features: float32 [N, D], N <= `MAX_IMAGES`.
        spread: from `learn_spread`.

    Returns:
        The group of each image, int64 [N]: 0, 1, ... from the largest on, or `ALONE`.
    """
    if len(features) < MIN_IMAGES:
        return np.full(len(features), ALONE)
    merges = linkage(_directions(features, spread.centre), "complete", metric="cosine")
    _, found, sizes = np.unique(
        fcluster(merges, spread.distance, "distance"), return_inverse=True, return_counts=True
    )
    order = np.argsort(-sizes, kind="stable")
    numbers = np.full(len(sizes), ALONE)
    large = order[sizes[order] >= MIN_IMAGES]
    numbers[large] = np.arange(len(large))
    return numbers[found]


def _directions(features: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit vectors from the centre to unit features; float64 [N, D]."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    apart = (unit - centre).astype(np.float64)
    return apart / np.linalg.norm(apart, axis=1, keepdims=True).clip(1e-12)


def _known(sub_labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sub-classes of two images or more."""
    classes, counts = np.unique(sub_labels, return_counts=True)
    return classes[counts > 1]


def _halves(
    classes: NDArray[np.int64], sub_to_super: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[int, ...]]:
    """The sub-classes of every super-class, drawn into two halves."""
    mixed = rng.permutation(classes)
    ordered = mixed[np.argsort(sub_to_super[mixed], kind="stable")]
    yield tuple(ordered[::2].tolist())
    yield tuple(ordered[1::2].tolist())


def _agreements(
    directions: NDArray[np.float64],
    labels: NDArray[np.int64],
    sub_to_super: NDArray[np.int64],
    classes: tuple[int, ...] | None,
) -> NDArray[np.float64] | None:
    """The mean adjusted Rand index over super-classes at each of `_DISTANCES`; None without any."""
    wanted = np.ones(len(labels), bool) if classes is None else np.isin(labels, classes)
    curves = []
    for parent in np.unique(sub_to_super):
        rows = np.flatnonzero(wanted & (sub_to_super[labels] == parent))[:MAX_IMAGES]
        if len(np.unique(labels[rows])) > 1:
            merges = linkage(directions[rows], "complete", metric="cosine")
            found = (fcluster(merges, t, "distance") for t in _DISTANCES)
            curves.append([adjusted_rand_score(labels[rows], groups) for groups in found])
    return np.mean(curves, axis=0) if curves else None
