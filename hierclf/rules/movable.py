"""A rule whose thresholds can be moved again and again, and what to expect at each place.

Choosing and cross-fitting take seconds; moving takes a fraction of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.choose import choose_rule
from hierclf.rules.figures import Promise
from hierclf.rules.moved import moved_margins, score_spreads
from hierclf.rules.promise import Promised, cross_fitted_promise, promise
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable


class Movable(NamedTuple):
    """The balanced rule of a score table, and the margins that judge it.

    Attributes:
        start: the rule that `choose_rule` finds on the whole table.
        fitted: what to expect of it.
        margins: super_margin and sub_margin of the rows that reported.
        spreads: one unit of a margin, in the level's score.
    """

    start: Rule
    fitted: Promised
    margins: pd.DataFrame
    spreads: Mapping[Level, float]

    def rule(self, super_tau: float, sub_tau: float) -> Rule:
        """The same scores with other thresholds.

        Raises:
            ValueError: a threshold that is not finite.
        """
        start = self.start
        return Rule(LevelRule(start.super.score, super_tau), LevelRule(start.sub.score, sub_tau))

    def has_scores_of(self, rule: Rule) -> bool:
        """Whether a rule has the scores that can be moved."""
        return all(self.start[level].score == rule[level].score for level in LEVELS)

    def promise(self, rule: Rule) -> Promise:
        """What `hierclf.rules.moved` says of the start moved to this rule.

        Raises:
            ValueError: a rule on other scores.
        """
        moved = moved_margins(self.margins, self.start, rule, self.spreads)
        return promise(self.fitted.rows, moved)


def movable_rule(
    table: ScoreTable, parts: NDArray[np.int64], report: NDArray[np.bool_], names: Sequence[str]
) -> Movable:
    """Choose and cross-fit, once.

    Args:
        table: N rows of scores.
        parts: int64 [C], the part of each sub-class.
        report: bool [N], rows that may report.
        names: scores to fuse.

    Raises:
        ValueError: as `choose_rule` and `cross_fitted_promise`.
    """
    start = choose_rule(table, names).rule
    fitted = cross_fitted_promise(table, parts, report, names)
    predictions = fitted.fit.predictions
    margins = predictions[report[predictions.index]]
    return Movable(start, fitted, margins, score_spreads(table, start))
