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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hierclf.hierarchy import LEVELS, NOVEL, Level
from hierclf.metrics.accuracy import six_accuracies
from hierclf.rules.score_table import Ints, column, score_values, true_labels
from hierclf.scores.sums import score_terms


class LevelRule(NamedTuple):
    """The rule of one level: an image is novel iff score > tau.

    Attributes:
        score: a name, "energy", or a weighted sum, "0.52*energy + 0.31*super.knn".
        tau: the threshold, finite, in the score's units.
    """

    score: str
    tau: float


@dataclass(frozen=True)
class Rule:
    """Which score and which threshold each level uses; `rule["super"]` is `rule.super`.

    Raises:
        ValueError: a score of another form or a tau that is not finite.
    """

    super: LevelRule
    sub: LevelRule

    def __post_init__(self) -> None:
        for level in LEVELS:
            score, tau = self[level]
            try:
                score_terms(score, level)
            except ValueError as error:
                raise ValueError(f"`{level}_score`: {error}") from None
            if isinstance(tau, bool) or not isinstance(tau, int | float) or not math.isfinite(tau):
                raise ValueError(f"`{level}_tau` must be a finite number, but got {tau!r}")

    def __getitem__(self, level: Level) -> LevelRule:
        return {"super": self.super, "sub": self.sub}[level]

    def to_dict(self) -> dict[str, str | float]:
        """The rule as plain JSON values: super_score, super_tau, sub_score, sub_tau."""
        return {
            f"{level}_{name}": value
            for level in LEVELS
            for name, value in self[level]._asdict().items()
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Rule:
        """The inverse of `to_dict`; ValueError unless exactly the rule's keys are there."""
        keys = [f"{level}_{name}" for level in LEVELS for name in LevelRule._fields]
        if sorted(values) != sorted(keys):
            raise ValueError(f"a rule has the keys {keys}, but got {sorted(values)}")
        return Rule(
            LevelRule(values["super_score"], values["super_tau"]),
            LevelRule(values["sub_score"], values["sub_tau"]),
        )


# Max softmax probability below 0.7 / 0.5 means novel: the same thing on 1 - probability.
PAPER_RULE = Rule(LevelRule("msp", 0.3), LevelRule("msp", 0.5))


def decide(table: pd.DataFrame, rule: Rule) -> tuple[Ints, Ints]:
    """Apply a rule to a score table.

    Returns:
        pred_super, pred_sub: int64 [N], model indices or `NOVEL`.

    Raises:
        ValueError: a column that the rule needs is missing or not finite.
    """
    super_novel = score_values(table, "super", rule.super.score) > rule.super.tau
    sub_novel = super_novel | (score_values(table, "sub", rule.sub.score) > rule.sub.tau)
    pred_super = np.where(super_novel, NOVEL, column(table, "super_pred").astype(np.int64))
    pred_sub = np.where(sub_novel, NOVEL, column(table, "sub_pred").astype(np.int64))
    return pred_super, pred_sub


def evaluate_rule(table: pd.DataFrame, rule: Rule) -> dict[str, float | None]:
    """The six accuracies and harmonic means (see `six_accuracies`) of a rule on a score table."""
    return six_accuracies(*true_labels(table), *decide(table, rule))
