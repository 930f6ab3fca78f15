"""A rule whose thresholds somebody moved by hand, judged by classes that did not choose it.

`cross_fit` judges each class by a rule chosen without it. A threshold moved by hand stands for a
way of choosing, too: choose as before, then move by as much, in units of the score's spread over
known rows. So every margin moves by that much, and no class judges a rule that it chose.

Shape legend: N rows of a table.
"""

from collections.abc import Mapping

import pandas as pd

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.evidence import KNOWN, Evidence
from hierclf.rules.expected import Units
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import ScoreTable


def score_spreads(table: ScoreTable, rule: Rule) -> dict[Level, float]:
    """The spread of each level's score over known rows: one unit of a margin, in the score's own.

    Args:
        table: what the rule was chosen on.
        rule: its scores.

    Raises:
        ValueError: a missing column.
    """
    known = Evidence.of(table).rows(KNOWN)
    return {
        level: Units.of(table.score(level, rule[level].score), known).spread for level in LEVELS
    }


def moved_margins(
    margins: pd.DataFrame, start: Rule, to: Rule, spreads: Mapping[Level, float]
) -> pd.DataFrame:
    """Cross-fitted margins after the thresholds were moved.

    Args:
        margins: N rows with super_margin and sub_margin, as `cross_fit` gives them.
        start: the rule that was chosen. to: the same scores, other thresholds.
        spreads: of the two scores, as `score_spreads` gives them.

    Returns:
        super_margin and sub_margin, N rows with the same index.

    Raises:
        ValueError: the rules use different scores.
    """
    moved = {}
    for level in LEVELS:
        if start[level].score != to[level].score:
            raise ValueError(
                f"moved thresholds keep their scores, but got {to[level].score!r} in place of "
                f"{start[level].score!r} at the {level} level"
            )
        step = (to[level].tau - start[level].tau) / spreads[level]
        moved[f"{level}_margin"] = margins[f"{level}_margin"] - step
    return pd.DataFrame(moved)
