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
from typing import Any

import numpy as np
import pandas as pd

from hierclf.hierarchy import NOVEL
from hierclf.metrics.accuracy import six_accuracies
from hierclf.rules.score_table import Ints, column, score_values, true_labels
from hierclf.scores.sums import score_terms


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


def evaluate_rule(table: pd.DataFrame, rule: Rule) -> dict[str, float | None]:
    """The six accuracies and harmonic means (see `six_accuracies`) of a rule on a score table."""
    return six_accuracies(*true_labels(table), *decide(table, rule))
