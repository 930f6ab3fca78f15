"""Claims about rules whose thresholds were moved by hand."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.moved import moved_margins, score_spreads
from hierclf.rules.promise import margins_of, promise
from hierclf.rules.rule import LevelRule, Rule, apply_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import draw_table

TABLE = ScoreTable(draw_table(800))
START = Rule(LevelRule("knn", 0.2), LevelRule("energy", 5.0))
TO = Rule(LevelRule("knn", 0.31), LevelRule("energy", 3.5))


def in_units(rule: Rule) -> pd.DataFrame:
    """The margins of a fixed rule, in units of the scores' spreads."""
    margins, spreads = margins_of(TABLE, rule), score_spreads(TABLE, rule)
    return pd.DataFrame({f"{x}_margin": margins[f"{x}_margin"] / spreads[x] for x in spreads})


def test_moved_margins_are_those_of_the_rule_moved_to() -> None:
    spreads = score_spreads(TABLE, START)
    moved = moved_margins(in_units(START), START, TO, spreads)
    np.testing.assert_allclose(moved, in_units(TO), atol=1e-9)
    novel = (moved["super_margin"] > 0).to_numpy()
    np.testing.assert_array_equal(novel, apply_rule(TABLE, TO).super == -1)


def test_a_rule_that_stays_keeps_its_promise() -> None:
    spreads = score_spreads(TABLE, START)
    stayed = moved_margins(in_units(START), START, START, spreads)
    assert promise(TABLE, stayed) == promise(TABLE, in_units(START))


def test_a_unit_is_the_spread_over_known_rows() -> None:
    known = TABLE.frame[TABLE.frame["sub_known"]]
    spreads = score_spreads(TABLE, START)
    assert spreads["super"] == pytest.approx(known["super_knn"].astype(float).std(ddof=0))
    assert spreads["sub"] == pytest.approx(known["sub_energy"].astype(float).std(ddof=0))


def test_other_scores_are_refused() -> None:
    other = Rule(LevelRule("knn", 0.2), LevelRule("knn", 0.3))
    with pytest.raises(ValueError, match="got 'knn' in place of 'energy' at the sub level"):
        moved_margins(in_units(START), START, other, {"super": 1.0, "sub": 1.0})
