"""The rule to deploy: a fused score for each level, and thresholds for classes drawn anew."""

from collections.abc import Sequence
from typing import NamedTuple

from hierclf.hierarchy import Level
from hierclf.rules.evidence import Evidence
from hierclf.rules.expected import Expectation
from hierclf.rules.fusion import fused_score
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable


class Chosen(NamedTuple):
    """A rule, and its expected value for the goal on the table that chose it; see `expected`."""

    rule: Rule
    value: float


def choose_rule(table: ScoreTable, names: Sequence[str], *, goal: Goal = BALANCED) -> Chosen:
    """Fuse the scores of each level, then sweep both thresholds for the highest expected value.

    Nothing else is chosen: with few super-classes to hide, every further choice, such as that of a
    single score, selects what is best by chance.

    Args:
        table: a score table, its scores in the final network's terms (see `normalisation`).
        names: scores; the table has super_NAME and sub_NAME for each.

    Raises:
        ValueError: a missing column, no held-out class, a goal that no threshold reaches.
    """
    text = {level: fused_score(table, level, names) for level in ("super", "sub")}
    return choose_thresholds(table, text["super"], text["sub"], goal=goal)


def choose_thresholds(
    table: ScoreTable, super_score: str, sub_score: str, *, goal: Goal = BALANCED
) -> Chosen:
    """The best thresholds of two given scores; arguments and errors as of `choose_rule`."""
    best = expectation(table, super_score, sub_score, goal=goal).best()
    rule = Rule(LevelRule(super_score, best.super_tau), LevelRule(sub_score, best.sub_tau))
    return Chosen(rule, best.value)


def expectation(
    table: ScoreTable, super_score: str, sub_score: str, *, goal: Goal = BALANCED
) -> Expectation:
    """The expected value of thresholds on two scores of a table."""
    levels: tuple[tuple[Level, str], ...] = (("super", super_score), ("sub", sub_score))
    values = [table.score(level, text) for level, text in levels]
    return Expectation(Evidence.of(table), values[0], values[1], goal)
