"""How sure the six accuracies are: intervals by resampling sub-classes.

Images of one sub-class share their fate, so the sub-classes are drawn, not the images. New classes
are what a rule will meet; the intervals say how much the figures depend on which ones were held
out here.

Shape legend: N images, C sub-classes, B draws.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierclf.hierarchy import LEVELS, NOVEL
from hierclf.metrics.accuracy import harmonic_mean

Interval = tuple[float, float]


def accuracy_intervals(
    classes: ArrayLike,
    true_super: ArrayLike,
    true_sub: ArrayLike,
    pred_super: ArrayLike,
    pred_sub: ArrayLike,
    *,
    draws: int = 1000,
    coverage: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Percentile intervals of the six accuracies and harmonic means, by a cluster bootstrap.

    Each draw takes C sub-classes with replacement, each with all its images.

    Args:
        classes: int [N], the sub-class of each image, novel or not.
        true_super, true_sub, pred_super, pred_sub: int [N], model indices or `NOVEL`.
        draws: B > 0.
        coverage: in (0, 1), the share of draws within an interval.
        seed: same seed, same intervals.

    Returns:
        (low, high) in [0, 1] by the keys of `six_accuracies`; None for a part without rows. Draws
        that leave a part without rows have no say in its interval.

    Raises:
        ValueError: `draws` or `coverage` out of range.
    """
    if draws < 1:
        raise ValueError(f"`draws >= 1` must hold, but got draws={draws}")
    if not 0.0 < coverage < 1.0:
        raise ValueError(f"`0 < coverage < 1` must hold, but got coverage={coverage}")
    distinct, cluster = np.unique(np.asarray(classes), return_inverse=True)
    n = len(distinct)
    if not n:
        return dict.fromkeys(_figures(np.zeros((1, 8))))
    counts = np.hstack(
        [
            _class_counts(cluster, n, np.asarray(true), np.asarray(pred))
            for true, pred in ((true_super, pred_super), (true_sub, pred_sub))
        ]
    )
    # How often each sub-class is in each draw, [B, C].
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=draws)
    margin = (1.0 - coverage) / 2.0
    intervals: dict[str, Interval | None] = {}
    for key, values in _figures(times @ counts).items():
        there = values[~np.isnan(values)]
        low_high = np.quantile(there, [margin, 1.0 - margin]) if len(there) else None
        intervals[key] = None if low_high is None else (float(low_high[0]), float(low_high[1]))
    return intervals


def _class_counts(
    cluster: np.ndarray, n: int, true: np.ndarray, pred: np.ndarray
) -> NDArray[np.float64]:
    """Of each sub-class, [C, 4]: known rows, those that are right, novel rows, those right."""
    right, novel = true == pred, true == NOVEL
    rows = (~novel, ~novel & right, novel, novel & right)
    return np.stack([np.bincount(cluster, weights=part, minlength=n) for part in rows], axis=1)


def _figures(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The figures [B] of counts [B, 8], four a level as above; NaN where there are no rows."""
    figures = {}
    for i, level in enumerate(LEVELS):
        known, known_right, novel, novel_right = counts[:, 4 * i : 4 * i + 4].T
        with np.errstate(invalid="ignore"):
            seen, unseen = known_right / known, novel_right / novel
            figures[f"{level}_overall"] = (known_right + novel_right) / (known + novel)
        figures[f"{level}_seen"], figures[f"{level}_unseen"] = seen, unseen
        figures[f"{level}_harmonic"] = harmonic_mean(seen, unseen)
    return figures
