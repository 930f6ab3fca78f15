"""Claims about the curves and grids that plots show."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from hierclf.hierarchy import Level
from hierclf.reports.curves import MAX_CURVE_POINTS, tau_map, trade_off_table
from hierclf.rules.choose import choose_rule, expectation
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep
from tests.drawn_tables import NOISE, draw_table
from tests.plots import RULE, TABLES


@pytest.mark.parametrize("level", ["super", "sub"])
def test_trade_off_is_the_roc_curve_where_every_class_is_right(level: str) -> None:
    table = draw_table(200)
    table[f"{level}_pred"] = table[f"{level}_label"]
    curve = trade_off_table(ScoreTable(table), ["knn"]).query("level == @level")
    novel = ~table[f"{level}_known"]
    fpr, tpr, _ = roc_curve(novel, table[f"{level}_knn"], drop_intermediate=False)
    np.testing.assert_allclose(curve["seen"][::-1], 1 - fpr)
    np.testing.assert_allclose(curve["unseen"][::-1], tpr)


@pytest.mark.parametrize("level", ["super", "sub"])
def test_thinning_keeps_ends_and_best_of_every_score(level: Level) -> None:
    table = draw_table(3000)
    every = trade_off_table(ScoreTable(table), list(NOISE))
    assert set(every["score"]) == set(NOISE)
    rows = ScoreTable(table)[level]
    for name, curve in every.query("level == @level").groupby("score"):
        whole = sweep(ScoreTable(table).score(level, str(name)), rows.right, rows.known)
        assert 400 < len(curve) <= MAX_CURVE_POINTS < len(whole.taus)
        assert curve["tau"].is_monotonic_increasing
        assert curve["tau"].iloc[[0, -1]].tolist() == whole.taus[[0, -1]].tolist()
        assert curve["harmonic"].max() == whole.best().value
        assert set(curve["tau"]) <= set(whole.taus)


@pytest.mark.parametrize("n", [5, 498])
def test_a_short_curve_is_whole(n: int) -> None:
    known = np.arange(n) % 2 == 0
    table = pd.DataFrame({"super_known": known, "super_label": 0, "super_pred": 0})
    table["super_msp"] = np.arange(n, dtype=np.float32)
    for column in ("known", "label", "pred", "msp"):
        table[f"sub_{column}"] = table[f"super_{column}"]
    curve = trade_off_table(ScoreTable(table), ["msp"]).query("level == 'super'")
    assert len(curve) == n + 1


def test_a_level_without_novel_rows_has_no_curve() -> None:
    assert set(trade_off_table(ScoreTable(TABLES["no novel super-class"]), ["knn"])["level"]) == {
        "sub"
    }
    nothing = trade_off_table(ScoreTable(TABLES["nothing novel"]), ["knn"])
    assert nothing.empty
    assert list(nothing) == ["level", "score", "tau", "seen", "unseen", "harmonic"]


@pytest.mark.parametrize("name", [name for name in TABLES if not name.startswith("nothing")])
def test_the_tau_map_holds_the_expected_value_of_every_cell(name: str) -> None:
    table = ScoreTable(TABLES[name])
    found = tau_map(table, RULE, n=8)
    value = expectation(table, RULE.super.score, RULE.sub.score)
    for i, super_tau in enumerate(found.super_grid.taus):
        for j, sub_tau in enumerate(found.sub_grid.taus):
            own = value.values(np.array([super_tau]), np.array([sub_tau]))[0, 0]
            assert found.objective[i, j] == pytest.approx(own)
    assert RULE.super.tau in found.super_grid.taus
    assert RULE.sub.tau in found.sub_grid.taus


def test_the_tau_map_is_highest_at_the_chosen_rule() -> None:
    table = ScoreTable(TABLES["both levels"])
    rule, value = choose_rule(table, list(NOISE))
    found = tau_map(table, rule)
    assert found.objective.max() == pytest.approx(value, abs=0.003)


def test_grid_thresholds_part_the_rows_at_their_quantiles() -> None:
    table = draw_table(700, decimals=1)
    for tau in (-50.0, RULE.sub.tau, 500.0):
        grid = tau_map(
            ScoreTable(table), Rule(LevelRule("knn", 0.2), LevelRule("energy", tau))
        ).sub_grid
        below = [(table["sub_energy"] <= x).mean() for x in grid.taus]
        np.testing.assert_allclose(grid.quantiles, below)
        assert tau in grid.taus
        assert (grid.quantiles[0], grid.quantiles[-1]) == (0.0, 1.0)
        assert (np.diff(grid.quantiles) > 0).all()


def test_a_tau_map_needs_known_and_novel_rows() -> None:
    with pytest.raises(ValueError, match="needs rows of held-out classes"):
        tau_map(ScoreTable(TABLES["nothing novel"]), RULE)


def test_the_curve_of_a_sum_is_that_of_a_column_that_holds_it() -> None:
    table = TABLES["both levels"]
    held = table.assign(sub_sum=0.2 * table["sub_energy"].astype(float) + table["super_knn"])
    by_sum = trade_off_table(ScoreTable(table), ["0.2*energy + super.knn"]).query("level == 'sub'")
    by_column = trade_off_table(ScoreTable(held.assign(super_sum=0.0)), ["sum"]).query(
        "level == 'sub'"
    )
    for column in ("tau", "seen", "unseen"):
        np.testing.assert_allclose(by_sum[column], by_column[column], rtol=1e-6)
