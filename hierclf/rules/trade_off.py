"""The exact trade-off curve of a score: seen against unseen accuracy at every threshold.

Shape legend: N rows of a table, V distinct scores, T thresholds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.score_table import Array


class Point(NamedTuple):
    """One point of a trade-off curve; value is what the goal maximises."""

    tau: float
    seen: float
    unseen: float
    value: float


@dataclass(frozen=True)
class TradeOff:
    """Seen against unseen accuracy of one score over every threshold that matters.

    Attributes:
        taus: float64 [T], ascending, finite. seen: [T] in [0, 1], rising. unseen: [T], falling.
    """

    taus: Array
    seen: Array
    unseen: Array

    def best(self, goal: Goal = BALANCED) -> Point:
        """The point that serves a goal best; among equals the lowest tau.

        Raises:
            ValueError: no threshold reaches the goal.
        """
        goal.check_reached(float(self.seen.max()), "this level")
        value = goal.value(self.seen, self.unseen)
        i = int(np.argmax(value))
        return Point(*(float(a[i]) for a in (self.taus, self.seen, self.unseen, value)))


def sweep(score: ArrayLike, right: ArrayLike, known: ArrayLike) -> TradeOff:
    """The exact trade-off curve of one level by itself.

    Every threshold that makes a difference: the midpoints between neighbouring distinct scores,
    and one beyond either end. seen(tau) is the mean over known rows of (right and score <= tau),
    unseen(tau) the mean over novel rows of (score > tau). One sort, no loop over rows.

    Args:
        score: float [N], finite. right, known: bool [N]; `right` is ignored where not known.

    Returns:
        A curve of V + 1 points.

    Raises:
        ValueError: arrays not of one shape [N], scores not finite, no known or no novel row.
    """
    scores, is_known = np.asarray(score), np.asarray(known, dtype=bool)
    hits = is_known & np.asarray(right, dtype=bool)
    if scores.ndim != 1 or scores.shape != is_known.shape:
        raise ValueError(
            f"`score` and `known` must be of one shape [N], "
            f"but got {scores.shape} and {is_known.shape}"
        )
    n_known = int(is_known.sum())
    n_novel = len(scores) - n_known
    if not (n_known and n_novel):
        raise ValueError(
            f"a sweep needs known and novel rows, but got {n_known} known and {n_novel} novel"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"`score` must be finite, but got {(~np.isfinite(scores)).sum()} bad rows")
    order = np.argsort(scores)
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    kept = np.cumsum(hits[order], dtype=np.int64)[last]
    missed = last + 1 - np.cumsum(is_known[order], dtype=np.int64)[last]
    return TradeOff(
        taus=thresholds_between(ordered[last].astype(np.float64)),
        seen=np.append(0, kept) / n_known,
        unseen=(n_novel - np.append(0, missed)) / n_novel,
    )


def thresholds_between(values: Array) -> Array:
    """Thresholds [V + 1] that part ascending distinct values [V]: one beyond either end, midpoints.

    The ends lie one span and 1 beyond, so that a threshold "never" or "always" is finite and keeps
    its meaning on scores somewhat outside those seen.
    """
    middle = values[:-1] + np.diff(values) / 2.0
    # Between adjacent floats the midpoint rounds to either; only the lower one parts them.
    middle = np.where(middle < values[1:], middle, values[:-1])
    margin = values[-1] - values[0] + 1.0
    return np.concatenate([[values[0] - margin], middle, [values[-1] + margin]])
