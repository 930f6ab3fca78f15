"""Threshold rules: which score and which threshold each level uses, and what they decide.

An image is novel iff its score > tau; a novel super-class implies a novel sub-class. A score is a
name or a weighted sum (see `hierclf.scores.sums`).

Shape legend: N images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS, NOVEL, Level
from hierclf.metrics.accuracy import six_accuracies
from hierclf.rules.classes import Classes
from hierclf.scores.sums import score_terms

if TYPE_CHECKING:  # it is of pandas, which an exported model does without
    from hierclf.rules.score_table import Array, ScoreTable


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


def novel_rows(
    scores: Mapping[Level, Array], taus: Mapping[Level, float]
) -> dict[Level, NDArray[np.bool_]]:
    """Which images are novel at each level: score > tau.

    A novel super-class implies a novel sub-class.

    Args:
        scores: float [N] for each level, higher = more novel.
        taus: the threshold of each level.

    Returns:
        bool [N] for each level.
    """
    novel = scores["super"] > taus["super"]
    return {"super": novel, "sub": novel | (scores["sub"] > taus["sub"])}


def decide(rule: Rule, scores: Mapping[Level, Array], predictions: Classes) -> Classes:
    """Turn scores into decisions; the one place that does so, in training as in prediction.

    Args:
        rule: the thresholds.
        scores: float [N] for each level, what `rule[level].score` names.
        predictions: the most probable known classes.

    Returns:
        The same classes, `NOVEL` where the score is above the threshold.
    """
    novel = novel_rows(scores, {level: rule[level].tau for level in LEVELS})
    return Classes(
        np.where(novel["super"], NOVEL, predictions.super),
        np.where(novel["sub"], NOVEL, predictions.sub),
    )


def apply_rule(table: ScoreTable, rule: Rule) -> Classes:
    """`decide` for the rows of a score table.

    Raises:
        ValueError: a score that the rule needs is missing or not finite.
    """
    scores = {level: table.score(level, rule[level].score) for level in LEVELS}
    return decide(rule, scores, table.predictions)


def evaluate_rule(table: ScoreTable, rule: Rule) -> dict[str, float | None]:
    """The six accuracies and harmonic means (see `six_accuracies`) of a rule on a score table.

    Rows without a super-label are left out.
    """
    rows = table.labelled("super")
    return six_accuracies(*rows.targets, *apply_rule(rows, rule))
