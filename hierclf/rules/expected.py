"""The value that thresholds are expected to have on classes drawn anew, and the best of them.

Super level: seen accuracy is the mean of that on known sub-classes and that on new sub-classes of
known super-classes; unseen accuracy is that on a new super-class. Sub level: seen accuracy is that
on known sub-classes; unseen accuracy is the mean of that on new sub-classes of known super-classes
and that on a new super-class. The scores of a new super-class are uncertain (see `new_class`). The
goal's value is averaged over that uncertainty, so that a threshold is not chosen if it fails on a
class somewhat nearer than those at hand.

Shape legend: N rows, Q quantiles of a new class's location, R residual rows, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hierclf.hierarchy import Level
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.new_class import CAUTIOUS, NewClass, new_class
from hierclf.rules.score_table import Array, Bools

QUANTILES = 25
MAX_ROWS = 1000
THRESHOLDS = 200
_CLIP = 10.0


class Best(NamedTuple):
    """The thresholds with the highest expected value, in the scores' units, and that value."""

    super_tau: float
    sub_tau: float
    value: float


class Units(NamedTuple):
    """A score's median and spread over known rows."""

    middle: float
    spread: float

    @staticmethod
    def of(scores: Array, known: Bools) -> Units:
        """Those of scores [N] over the rows where `known` holds."""
        rows = scores[known]
        return Units(float(np.median(rows)), float(rows.std()) or 1.0)

    def apply(self, scores: Array) -> Array:
        """Scores in these units, clipped to +-10: beyond that they tell nothing more."""
        return np.clip((scores - self.middle) / self.spread, -_CLIP, _CLIP)


def new_super_class(
    evidence: Evidence, scores: Array, *, prior_classes: float = CAUTIOUS
) -> NewClass:
    """The model of a new super-class's scores, from FAR rows.

    Args:
        evidence: N rows, some of them FAR.
        scores: float64 [N], in units of known rows.
        prior_classes: as of `new_class`.
    """
    far = evidence.rows(FAR)
    start = evidence.super_weight * evidence.rows(NEAR if evidence.has(NEAR, "super") else KNOWN)
    near = float(scores @ start / start.sum())
    return new_class(scores[far], evidence.unit[far], near=near, prior_classes=prior_classes)


@dataclass(frozen=True, eq=False)
class Expectation:
    """Two scores on a table's evidence, ready to value any pair of thresholds.

    Args:
        super_scores, sub_scores: float64 [N], one score of each level, any units.

    Raises:
        ValueError: no known rows, or neither NEAR nor FAR rows.
    """

    evidence: Evidence
    super_scores: Array
    sub_scores: Array
    goal: Goal = BALANCED

    def __post_init__(self) -> None:
        if not self.evidence.has(KNOWN):
            raise ValueError("a rule needs rows of known sub-classes, but got none")
        if not (self.evidence.has(NEAR) or self.evidence.has(FAR)):
            raise ValueError("a rule needs rows of held-out classes, but got none")

    def best(self, n: int = THRESHOLDS) -> Best:
        """The best of n x n thresholds at equally spaced ranks of the scores.

        A level without held-out classes gets a threshold that no score of the table exceeds.

        Raises:
            ValueError: the goal is not reached by any threshold.
        """
        self._check_reached()
        super_taus = np.quantile(self.super_scores, np.linspace(0.0, 1.0, n))
        if not self.evidence.has(FAR):
            super_taus = super_taus[-1:] + 1.0
        sub_taus = np.quantile(self.sub_scores, np.linspace(0.0, 1.0, n))
        value = self.values(super_taus, sub_taus)
        i, j = np.unravel_index(int(value.argmax()), value.shape)
        return Best(float(super_taus[i]), float(sub_taus[j]), float(value[i, j]))

    def _check_reached(self) -> None:
        """Refuse a goal that even thresholds that never say novel do not reach."""
        kinds = [kind for kind in (KNOWN, NEAR) if self.evidence.has(kind, "super")]
        right = [float(self._weight(kind, "super") @ self.evidence.super_right) for kind in kinds]
        if self.evidence.has(FAR):
            self.goal.check_reached(float(np.mean(right)), "the super level")
        self.goal.check_reached(
            float(self._weight(KNOWN) @ self.evidence.sub_right), "the sub level"
        )

    def values(self, super_taus: Array, sub_taus: Array) -> Array:
        """The expected value [Ts, Tb] of every pair of ascending thresholds, in the scores' units.

        The mean over the levels that can be judged.
        """
        super_level, sub_level = self.level_values(super_taus, sub_taus)
        return sub_level if super_level is None else (super_level[:, None] + sub_level) / 2.0

    def level_values(self, super_taus: Array, sub_taus: Array) -> tuple[Array | None, Array]:
        """Values of the super level [Ts], None without FAR rows, and of the sub level [Ts, Tb]."""
        known = self.evidence.rows(KNOWN)
        units = [Units.of(scores, known) for scores in (self.super_scores, self.sub_scores)]
        super_z, sub_z = units[0].apply(self.super_scores), units[1].apply(self.sub_scores)
        # Clipped as the scores are, so that a threshold beyond the clip still parts them.
        super_grid, sub_grid = units[0].apply(super_taus), units[1].apply(sub_taus)
        super_bin, sub_bin = np.searchsorted(super_grid, super_z), np.searchsorted(sub_grid, sub_z)
        far = _FarRows.of(self.evidence, super_z, super_grid, sub_z, sub_grid)
        sub_level = [
            self._sub_values(super_bin <= i, sub_bin, len(sub_grid), far, i)
            for i in range(len(super_grid))
        ]
        return self._super_values(super_bin, len(super_grid), far), np.stack(sub_level)

    def _super_values(self, bins: np.ndarray, n: int, far: _FarRows | None) -> Array | None:
        """The super level's expected values [Ts]; None without FAR rows."""
        if far is None:
            return None
        kept = [
            _passed(bins, self._weight(kind, "super") * self.evidence.super_right, n)
            for kind in (KNOWN, NEAR)
            if self.evidence.has(kind, "super")
        ]
        seen = np.mean(kept, axis=0)
        return self.goal.at("super").value(seen[None], far.super_unseen(n)).mean(axis=0)

    def _sub_values(
        self, kept: Bools, bins: np.ndarray, n: int, far: _FarRows | None, super_bin: int
    ) -> Array:
        """The sub level's expected values [Tb] where `kept` holds the rows that super_tau keeps."""
        right = kept & self.evidence.sub_right
        seen = _passed(bins, self._weight(KNOWN) * right, n)
        unseen = []
        if self.evidence.has(NEAR):
            unseen.append(1.0 - _passed(bins, self._weight(NEAR) * kept, n)[None])
        if far is not None:
            unseen.append(far.sub_unseen(n, super_bin))
        both = sum(unseen) / len(unseen)
        return self.goal.at("sub").value(seen[None], both).mean(axis=0)

    def _weight(self, kind: int, level: Level = "sub") -> Array:
        return self.evidence.weights(level) * self.evidence.rows(kind)


@dataclass(frozen=True, eq=False)
class _FarRows:
    """Bins [Q, R] of a new super-class's images at each quantile of its location, both levels."""

    super_bin: np.ndarray
    sub_bin: np.ndarray
    weight: Array

    @staticmethod
    def of(
        evidence: Evidence, super_z: Array, super_grid: Array, sub_z: Array, sub_grid: Array
    ) -> _FarRows | None:
        rows = np.flatnonzero(evidence.rows(FAR))
        if not len(rows):
            return None
        bins = []
        step = -(-len(rows) // MAX_ROWS)
        for z, grid in ((super_z, super_grid), (sub_z, sub_grid)):
            model = new_super_class(evidence, z)
            shifted = model.quantiles(QUANTILES)[:, None] + model.residuals[None, ::step]
            bins.append(np.searchsorted(grid, shifted))
        weight = evidence.weight[rows[::step]]
        return _FarRows(bins[0], bins[1], weight / weight.sum())

    def super_unseen(self, n: int) -> Array:
        """Fraction called novel [Q, Ts]."""
        return 1.0 - self._passed(
            self.super_bin, np.broadcast_to(self.weight, self.super_bin.shape), n
        )

    def sub_unseen(self, n: int, super_bin: int) -> Array:
        """Fraction called novel [Q, Tb] by either level, at one super threshold."""
        return 1.0 - self._passed(self.sub_bin, self.weight * (self.super_bin <= super_bin), n)

    @staticmethod
    def _passed(bins: np.ndarray, weight: Array, n: int) -> Array:
        n_quantiles = len(bins)
        flat = bins + (n + 1) * np.arange(n_quantiles)[:, None]
        mass = np.bincount(flat.ravel(), weight.ravel(), minlength=n_quantiles * (n + 1))
        return np.cumsum(mass.reshape(n_quantiles, n + 1)[:, :n], axis=1)


def _passed(bins: np.ndarray, weight: Array, n: int) -> Array:
    """Weight [T] of the rows that each of n ascending thresholds lets through as known."""
    return np.cumsum(np.bincount(bins, weight, minlength=n + 1)[:n])
