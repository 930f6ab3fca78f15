"""From scores to decisions: threshold rules, and the exact trade-off curve of a score.

A *score table* has one row per fold and image: `fold`, the true `super_label` and `sub_label`
(model indices), `super_known` and `sub_known` (whether the fold's model was trained on that class),
`super_pred` and `sub_pred` (most probable known class; a sub-class of the predicted super-class),
and scores `super_NAME`, `sub_NAME`, higher = more novel. An image is novel iff its score > tau; a
novel super-class implies a novel sub-class.

A rule's score is a name or a weighted sum of them (see `score_sum`). What the best threshold is
depends on a goal (see `goals`).

Shape legend: N rows of a table, V distinct scores, T thresholds.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hierclf.goals import BALANCED, Goal
from hierclf.labels import NOVEL
from hierclf.metrics import six_accuracies
from hierclf.score_sum import find_column, score_terms, sum_columns

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """Which score and which tau each level uses: novel iff score > tau, tau in the score's units.

    A score is a name, "energy", or a weighted sum, "0.52*energy + 0.31*super.knn".

    Raises:
        ValueError: a score of another form or a tau that is not finite.
    """

    super_score: str
    super_tau: float
    sub_score: str
    sub_tau: float

    def __post_init__(self) -> None:
        for level in ("super", "sub"):
            name, tau = getattr(self, f"{level}_score"), getattr(self, f"{level}_tau")
            try:
                score_terms(name, level)
            except ValueError as error:
                raise ValueError(f"`{level}_score`: {error}") from None
            if isinstance(tau, bool) or not isinstance(tau, int | float) or not math.isfinite(tau):
                raise ValueError(f"`{level}_tau` must be a finite number, but got {tau!r}")

    def to_dict(self) -> dict[str, str | float]:
        """The rule as plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Rule:
        """The inverse of `to_dict`; ValueError unless exactly the rule's keys are there."""
        keys = [field.name for field in fields(Rule)]
        if sorted(values) != sorted(keys):
            raise ValueError(f"a rule has the keys {keys}, but got {sorted(values)}")
        return Rule(**values)


# Max softmax probability below 0.7 / 0.5 means novel: the same thing on 1 - probability.
PAPER_RULE = Rule("msp", 0.3, "msp", 0.5)


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


class LevelRows(NamedTuple):
    """What a table's rows are at one level: known, bool [N], and right, bool [N].

    A row is right if its class is known and the most probable known class is the true one.
    """

    known: Bools
    right: Bools

    @property
    def judged(self) -> bool:
        """Whether the level has known and novel rows, so that balance means something."""
        return bool(self.known.any() and not self.known.all())


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


def level_rows(table: pd.DataFrame, level: str) -> LevelRows:
    """Which rows of a score table are known, and right, at a level (`super` or `sub`)."""
    known = column(table, f"{level}_known").astype(bool)
    pred, label = column(table, f"{level}_pred"), column(table, f"{level}_label")
    return LevelRows(known, known & (pred == label))


def score_values(table: pd.DataFrame, level: str, name: str) -> Array:
    """The values of a score, or of a weighted sum, that a level uses.

    Args:
        name: as in a `Rule`.

    Returns:
        float64 [N].

    Raises:
        ValueError: a column that is missing, values that are not finite, what `score_terms` raises.
    """
    values = sum_columns(table, level, name)
    if not np.isfinite(values).all():
        what = f"{level}_{name}" if f"{level}_{name}" in table else f"{name} ({level} level)"
        raise ValueError(
            f"`{what}` must be finite, but got {(~np.isfinite(values)).sum()} bad rows"
        )
    return values


def decide(table: pd.DataFrame, rule: Rule) -> tuple[Ints, Ints]:
    """Apply a rule to a score table.

    Returns:
        pred_super, pred_sub: int64 [N], model indices or `NOVEL`.

    Raises:
        ValueError: a column that the rule needs is missing or not finite.
    """
    super_novel = score_values(table, "super", rule.super_score) > rule.super_tau
    sub_novel = super_novel | (score_values(table, "sub", rule.sub_score) > rule.sub_tau)
    pred_super = np.where(super_novel, NOVEL, column(table, "super_pred").astype(np.int64))
    pred_sub = np.where(sub_novel, NOVEL, column(table, "sub_pred").astype(np.int64))
    return pred_super, pred_sub


def true_labels(table: pd.DataFrame) -> tuple[Ints, Ints]:
    """The right answers, int64 [N] each: `NOVEL` where the fold's model did not know the class."""
    labels = (
        np.where(column(table, f"{level}_known"), column(table, f"{level}_label"), NOVEL)
        for level in ("super", "sub")
    )
    true_super, true_sub = (array.astype(np.int64) for array in labels)
    return true_super, true_sub


def evaluate_rule(table: pd.DataFrame, rule: Rule) -> dict[str, float | None]:
    """The six accuracies and harmonic means (see `six_accuracies`) of a rule on a score table."""
    return six_accuracies(*true_labels(table), *decide(table, rule))


def column(table: pd.DataFrame, name: str) -> np.ndarray:
    """A score table's column as an array; ValueError that names what there is if it is missing."""
    return np.asarray(find_column(table, name))


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
