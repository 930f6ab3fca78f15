"""Is one configuration convincingly better than another on new classes? A paired comparison.

Two networks per fold, one of each configuration, judge the same images by rules chosen in the same
way. Every class gives one difference. Known and new sub-classes and new super-classes have the mass
that the objective gives them.

Shape legend: N rows of a table, C classes of a kind.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from hierclf.hierarchy import UNLABELLED
from hierclf.rules.evidence import FAR, KINDS, KNOWN, NEAR, Evidence
from hierclf.rules.score_table import Array, ScoreTable

# Half of each level's mass is on known images there, and half on novel ones.
_MASS = {
    "super": {KNOWN: 0.25, NEAR: 0.25, FAR: 0.5},
    "sub": {KNOWN: 0.5, NEAR: 0.25, FAR: 0.25},
}


class Gain(NamedTuple):
    """A difference of balanced accuracies, in [-1, 1], and its interval over classes."""

    mean: float
    low: float
    high: float

    @property
    def convincing(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0.0


def paired_gain(
    first: tuple[ScoreTable, pd.DataFrame],
    second: tuple[ScoreTable, pd.DataFrame],
    *,
    coverage: float = 0.9,
) -> Gain:
    """How much better the first is than the second, over the same rows.

    Rows without a super-label have no say.

    Args:
        first, second: a table's rows that may report, and their cross-fitted super_margin and
            sub_margin; row i of both is the same image in the same fold.
        coverage: in (0, 1), the probability of the interval.

    Returns:
        The difference in the mean over the levels of balanced accuracy: the mean over classes,
        with a t interval whose degrees of freedom are Welch's and Satterthwaite's. One class of a
        kind tells nothing of the spread: the interval is then -1 to 1.

    Raises:
        ValueError: tables of other rows.
    """
    if not (
        len(first[0]) == len(second[0])
        and (first[0].folds == second[0].folds).all()
        and (first[0].sub.labels == second[0].sub.labels).all()
    ):
        raise ValueError("two configurations are compared on the same rows, but got others")
    labelled = first[0].super.labels != UNLABELLED
    change = (_value(*first) - _value(*second))[labelled]
    evidence = Evidence.of(first[0].where(labelled))
    mean, variance, parts = 0.0, 0.0, []
    total = sum(1.0 for kind in KINDS if evidence.has(kind))
    if total < 2:
        raise ValueError("a comparison needs known and held-out classes, but got one kind")
    for kind in KINDS:
        rows = evidence.rows(kind)
        if not rows.any():
            continue
        _, index = np.unique(evidence.unit[rows], return_inverse=True)
        by_class = np.bincount(index, change[rows]) / np.bincount(index)
        mean += float(by_class.mean())
        n = len(by_class)
        if n < 2:
            return Gain(float(mean), -1.0, 1.0)
        own = float(by_class.var(ddof=1)) / n
        variance += own
        parts.append(own**2 / (n - 1))
    if variance == 0.0:
        return Gain(mean, mean, mean)
    freedom = variance**2 / sum(parts)
    half = stats.t.ppf(0.5 + coverage / 2.0, freedom) * np.sqrt(variance)
    return Gain(mean, mean - float(half), mean + float(half))


def _value(table: ScoreTable, margins: pd.DataFrame) -> Array:
    """What each row adds to the objective, float64 [N]: the mass of its kind where it is right."""
    evidence = Evidence.of(table)
    super_novel = margins["super_margin"].to_numpy() > 0
    sub_novel = super_novel | (margins["sub_margin"].to_numpy() > 0)
    hits = {
        "super": np.where(evidence.rows(FAR), super_novel, evidence.super_right & ~super_novel),
        "sub": np.where(evidence.rows(KNOWN), evidence.sub_right & ~sub_novel, sub_novel),
    }
    value = np.zeros(len(table))
    for level, mass in _MASS.items():
        # Without hidden super-classes there is no super level to judge.
        present = {kind: m for kind, m in mass.items() if evidence.has(kind)}
        if level == "super" and FAR not in present:
            continue
        for kind, m in present.items():
            value += evidence.rows(kind) * m / sum(present.values()) * hits[level]
    return value if not evidence.has(FAR) else value / 2.0
