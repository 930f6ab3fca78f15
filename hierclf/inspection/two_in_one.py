"""Sub-classes that look like two: their images form two heaps with a gap between them.

Each half of a class's images is projected on the line between the centres of two clusters of the
other half, so that a heap that clustering made up by chance is not seen again. How well the
projections divide into two, the fraction of their variance that is left within, is compared with
points drawn uniformly: of all symmetric distributions with one peak, the uniform one divides best.
Holm's procedure keeps the chance of naming any class of one heap below `LEVEL`, however many
classes there are.

Shape legend: n images of a class, D features, C classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from hierclf.inspection.held_out import scaled

LEVEL = 0.05
"""Chance of naming any class of one heap, unless heaps are strongly skewed."""
FEWEST = 20
"""Images, or groups of images, of a class that is judged."""
_MOST = 256  # of a class that are looked at
_SIZES = np.unique(np.geomspace(FEWEST, _MOST, 13).astype(int))
_SMALLER = 0.15  # part of a class that counts as a heap
_DRAWS_PER_CLASS, _FEWEST_DRAWS = 60, 2000


class TwoInOne(NamedTuple):
    """A class that looks like two.

    Attributes:
        label: of the class.
        p_value: chance of such a gap, or a wider one, in one heap.
        first, second: int64, rows of the images of both heaps, the larger heap first.
    """

    label: int
    p_value: float
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def two_in_one(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
) -> list[TwoInOne]:
    """The classes that look like two, the clearest first.

    Args:
        features: float32 [N, D].
        labels: int64 [N].
        groups: int64 [N], the same number for images that count as one, such as copies.
        seed: of halves, clusters and draws.
    """
    inputs, rng = scaled(features), np.random.default_rng(seed)
    judged = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        _, number = np.unique(groups[rows], return_inverse=True)
        kept = rng.permutation(number.max() + 1)[:_MOST]
        if len(kept) >= FEWEST:
            means = np.stack([inputs[rows[number == group]].mean(axis=0) for group in kept])
            where = projections(means, rng)
            left, cut = divided(where)
            upper = np.zeros(number.max() + 1, dtype=np.int64) - 1
            upper[kept] = where > cut
            parts = [rows[upper[number] == side] for side in (0, 1)]
            first, second = sorted(parts, key=len, reverse=True)
            judged.append((TwoInOne(int(label), left, first, second), len(kept)))
    n_draws = max(_FEWEST_DRAWS, _DRAWS_PER_CLASS * len(judged))
    one_heap = {size: _left_in_one_heap(int(size), n_draws, rng) for size in _SIZES}
    found = []
    for one, count in judged:
        # Fewer points divide better by chance: the next smaller size is on the safe side.
        drawn = one_heap[_SIZES[count >= _SIZES].max()]
        p_value = (1 + int((drawn <= one.p_value).sum())) / (1 + n_draws)
        found.append(one._replace(p_value=p_value))
    found.sort(key=lambda one: one.p_value)
    return found[: _holm([one.p_value for one in found])]


def projections(points: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    """Where each point lies on the line between two clusters of points without it.

    Both halves are standardised: an outlier of one half makes a line on which the other half lies
    all at one end, which together would look like two heaps.

    Args:
        points: float32 [n, D], n >= 4.
        rng: draws the halves.

    Returns:
        float64 [n].
    """
    first = rng.permutation(len(points)) < len(points) // 2
    found = np.empty(len(points))
    direction = None
    for learnt in (first, ~first):
        clusters = KMeans(2, n_init=5, random_state=int(rng.integers(2**31))).fit(points[learnt])
        lower, upper = clusters.cluster_centers_.astype(np.float64)
        line = upper - lower
        where = points[~learnt] @ line
        where = (where - where.mean()) / max(float(where.std()), 1e-12)
        flipped = direction is not None and float(direction @ line) < 0
        direction = line if direction is None else direction
        found[~learnt] = -where if flipped else where
    return found


def divided(where: NDArray[np.float64]) -> tuple[float, float]:
    """The best division of numbers into a lower and an upper part.

    Args:
        where: float64 [n], n >= 4.

    Returns:
        The fraction of their variance that is left within the parts, in [0, 1], and the number up
        to which the lower part goes. Each part holds 15 % or more.
    """
    ordered = np.sort(where)
    left, sizes = _left_within(ordered[None])
    return float(left[0]), float(ordered[sizes[0] - 1])


def _left_within(ordered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of rows in ascending order [R, n]: least variance left, [R], and the lower part's size."""
    centred = ordered - ordered.mean(axis=1, keepdims=True)
    count = ordered.shape[1]
    fewest = max(1, int(_SMALLER * count))
    sizes = np.arange(fewest, count - fewest + 1)
    sums = centred.cumsum(axis=1)[:, sizes - 1]
    between = sums**2 * count / (sizes * (count - sizes))
    total = np.maximum((centred**2).sum(axis=1), 1e-300)
    best = between.argmax(axis=1)
    return 1 - between[np.arange(len(ordered)), best] / total, sizes[best]


def _left_in_one_heap(size: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The variance left within, of uniform points; float64 [draws]."""
    parts = np.array_split(np.empty(draws), max(1, draws * size // 1_000_000))
    return np.concatenate(
        [_left_within(np.sort(rng.uniform(size=(len(part), size)), axis=1))[0] for part in parts]
    )


def _holm(p_values: list[float]) -> int:
    """How many of ascending p-values Holm's procedure rejects at `LEVEL`."""
    for index, p_value in enumerate(p_values):
        if p_value > LEVEL / (len(p_values) - index):
            return index
    return len(p_values)
