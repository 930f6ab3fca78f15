"""Claims about the exact best rule, against brute force over every pair of thresholds."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from drawn_tables import draw_table
from hypothesis import given, settings
from hypothesis import strategies as st

from hierclf.exact import best_rule
from hierclf.metrics import objective
from hierclf.thresholds import Rule, evaluate_rule, level_rows, sweep, thresholds_between

ALL = ("msp", "max_logit", "energy", "knn")


def brute_force(table: pd.DataFrame, scores: tuple[str, ...]) -> float:
    taus = {}
    for level, score in product(("super", "sub"), scores):
        every = thresholds_between(np.unique(table[f"{level}_{score}"].to_numpy(float)))
        # A level that cannot be judged never says novel.
        taus[f"{level}_{score}"] = every if level_rows(table, level).judged else every[-1:]
    return max(
        objective(evaluate_rule(table, Rule(a, float(super_tau), b, float(sub_tau))))
        for a, b in product(scores, scores)
        for super_tau, sub_tau in product(taus[f"super_{a}"], taus[f"sub_{b}"])
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, None]))
def test_the_best_rule_is_as_good_as_brute_force(seed: int, decimals: int | None) -> None:
    table = draw_table(24, seed=seed, decimals=decimals)
    if not any(level_rows(table, level).judged for level in ("super", "sub")):
        return
    found = best_rule(table, ("msp",))
    assert found.value == pytest.approx(brute_force(table, ("msp",)), abs=1e-12)
    assert found.value == objective(evaluate_rule(table, found.rule))


def test_the_best_pair_of_scores_is_as_good_as_brute_force() -> None:
    table = draw_table(18, seed=5)
    scores = ("msp", "knn")
    assert best_rule(table, scores).value == pytest.approx(brute_force(table, scores), abs=1e-12)


def test_no_pair_on_a_fine_grid_beats_the_best_rule_of_a_large_table() -> None:
    # Large enough that intervals are split many times and most are cut off by their bound.
    table = draw_table(2500, seed=1)
    best = best_rule(table, ALL)
    for a, b in (("knn", "knn"), ("energy", "knn"), ("knn", "energy")):
        super_taus = np.quantile(table[f"super_{a}"], np.linspace(0.5, 1, 20))
        sub_taus = np.quantile(table[f"sub_{b}"], np.linspace(0.3, 1, 20))
        for super_tau, sub_tau in product(super_taus, sub_taus):
            rule = Rule(a, float(super_tau), b, float(sub_tau))
            assert objective(evaluate_rule(table, rule)) <= best.value + 1e-12


@pytest.mark.parametrize("seed", range(12))
def test_a_search_without_branch_and_bound_finds_the_same_value(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = draw_table(400, seed=seed)
    values = []
    for points in (3, 33, 100_000):  # halves, the default, and every super threshold at once
        monkeypatch.setattr("hierclf.exact._POINTS", points)
        values.append(best_rule(table, ALL).value)
    assert values == pytest.approx([values[-1]] * 3, abs=1e-12)


def test_more_scores_are_never_worse_and_the_answer_repeats() -> None:
    table = draw_table(1000, seed=3)
    best = best_rule(table, ALL)
    assert best == best_rule(table, ALL)
    assert best.value >= max(best_rule(table, (score,)).value for score in ALL)


def test_a_level_without_novel_rows_never_says_novel() -> None:
    table = draw_table(800, seed=4)
    table = table[table["super_known"]].reset_index(drop=True)
    rule, value = best_rule(table, ("msp", "knn"))
    assert (table[f"super_{rule.super_score}"] < rule.super_tau).all()
    rows = level_rows(table, "sub")
    alone = max(
        sweep(table[f"sub_{score}"], rows.right, rows.known).best().value
        for score in ("msp", "knn")
    )
    assert value == pytest.approx(alone)


def test_a_sub_level_without_known_rows_is_left_out() -> None:
    table = draw_table(800, seed=4).assign(sub_known=False)
    rule, value = best_rule(table, ("knn",))
    rows = level_rows(table, "super")
    assert value == pytest.approx(sweep(table["super_knn"], rows.right, rows.known).best().value)
    assert (table["sub_knn"] < rule.sub_tau).all()


def test_what_no_rule_can_be_chosen_from_is_refused() -> None:
    table = draw_table(100)
    with pytest.raises(ValueError, match="at least one score"):
        best_rule(table, ())
    with pytest.raises(ValueError, match="needs a column 'sub_vim'"):
        best_rule(table, ("vim",))
    with pytest.raises(ValueError, match="known and novel rows, but got none"):
        best_rule(table[table["sub_known"]], ("msp",))
