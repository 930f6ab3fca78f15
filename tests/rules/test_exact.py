"""Claims about the exact best rule, against brute force over every pair of thresholds."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierclf.rules.exact import best_rule
from hierclf.rules.goals import BALANCED, Goal, objective
from hierclf.rules.rule import LevelRule, Rule, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep, thresholds_between
from tests.drawn_tables import draw_table

ALL = ("msp", "max_logit", "energy", "knn")


OTHER_GOALS = [
    Goal("overall", novel_rate=0.1),
    Goal("overall", novel_rate=0.6),
    Goal("seen-at-least", seen=0.5),
    Goal("seen-at-least", seen=0.75),
]


def brute_force(table: pd.DataFrame, scores: tuple[str, ...], goal: Goal = BALANCED) -> float:
    taus = {}
    for level, score in product(("super", "sub"), scores):
        every = thresholds_between(np.unique(ScoreTable(table).score(level, score)))
        # A level that cannot be judged never says novel.
        taus[f"{level}_{score}"] = every if ScoreTable(table)[level].judged else every[-1:]
    return max(
        objective(
            evaluate_rule(
                ScoreTable(table),
                Rule(LevelRule(a, float(super_tau)), LevelRule(b, float(sub_tau))),
            ),
            goal,
        )
        for a, b in product(scores, scores)
        for super_tau, sub_tau in product(taus[f"super_{a}"], taus[f"sub_{b}"])
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, None]))
def test_the_best_rule_is_as_good_as_brute_force(seed: int, decimals: int | None) -> None:
    table = draw_table(24, seed=seed, decimals=decimals)
    if not any(ScoreTable(table)[level].judged for level in ("super", "sub")):
        return
    found = best_rule(ScoreTable(table), ("msp",))
    assert found.value == pytest.approx(brute_force(table, ("msp",)), abs=1e-12)
    assert found.value == objective(evaluate_rule(ScoreTable(table), found.rule))


def test_the_best_pair_of_scores_is_as_good_as_brute_force() -> None:
    table = draw_table(18, seed=5)
    scores = ("msp", "knn")
    assert best_rule(ScoreTable(table), scores).value == pytest.approx(
        brute_force(table, scores), abs=1e-12
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, None]), st.sampled_from(OTHER_GOALS))
def test_the_best_rule_for_another_goal_is_as_good_as_brute_force(
    seed: int, decimals: int | None, goal: Goal
) -> None:
    table = draw_table(24, seed=seed, decimals=decimals)
    judged = [rows for x in ("super", "sub") if (rows := ScoreTable(table)[x]).judged]
    if not judged:
        return
    expected = brute_force(table, ("msp",), goal)
    reached = all(rows.right.sum() / rows.known.sum() >= (goal.seen or 0) for rows in judged)
    assert (expected >= 0) == reached
    if reached:
        found = best_rule(ScoreTable(table), ("msp",), goal)
        assert found.value == pytest.approx(expected, abs=1e-12)
        assert found.value == objective(evaluate_rule(ScoreTable(table), found.rule), goal)
    else:
        with pytest.raises(ValueError, match="highest seen accuracy is"):
            best_rule(ScoreTable(table), ("msp",), goal)


def test_the_best_rule_of_sums_is_as_good_as_brute_force() -> None:
    table = draw_table(18, seed=6)
    sums = ("0.2*energy + 3*sub.knn", "knn")
    assert best_rule(ScoreTable(table), sums).value == pytest.approx(
        brute_force(table, sums), abs=1e-12
    )


@pytest.mark.parametrize("seen", [0.85, 0.9])
def test_both_levels_see_as_much_as_was_asked_for(seen: float) -> None:
    # Giving the sub level up would leave the super level much freer.
    table = draw_table(1500, seed=2)
    rule, value = best_rule(ScoreTable(table), ALL, Goal("seen-at-least", seen=seen))
    found = evaluate_rule(ScoreTable(table), rule)
    assert found["super_seen"] is not None
    assert found["sub_seen"] is not None
    assert min(found["super_seen"], found["sub_seen"]) >= seen
    assert value == pytest.approx((found["super_unseen"] + found["sub_unseen"]) / 2)


def test_a_goal_that_no_tau_reaches_names_the_level_and_the_highest_there_is() -> None:
    table = draw_table(800)
    sub = ScoreTable(table).sub
    highest = sub.right.sum() / sub.known.sum()
    with pytest.raises(ValueError, match=f"at the sub level .* accuracy is {highest:.4f}"):
        best_rule(ScoreTable(table), ALL, Goal("seen-at-least", seen=highest + 0.001))
    rule, _ = best_rule(ScoreTable(table), ALL, Goal("seen-at-least", seen=highest))
    assert evaluate_rule(ScoreTable(table), rule)["sub_seen"] == pytest.approx(highest)


def test_each_level_may_have_scores_of_its_own() -> None:
    table = draw_table(600, seed=7)
    scores = {"super": ["msp"], "sub": ["energy", "0.1*energy + super.knn"]}
    rule, value = best_rule(ScoreTable(table), scores)
    assert rule.super.score == "msp"
    assert rule.sub.score in scores["sub"]
    pairs = [
        best_rule(ScoreTable(table), {"super": ["msp"], "sub": [name]}).value
        for name in scores["sub"]
    ]
    assert value == max(pairs)
    with pytest.raises(ValueError, match=r"one score a level, but got .*'sub': \[\]"):
        best_rule(ScoreTable(table), {"super": ["msp"]})


def test_no_pair_on_a_fine_grid_beats_the_best_rule_of_a_large_table() -> None:
    # Large enough that intervals are split many times and most are cut off by their bound.
    table = draw_table(2500, seed=1)
    best = best_rule(ScoreTable(table), ALL)
    for a, b in (("knn", "knn"), ("energy", "knn"), ("knn", "energy")):
        super_taus = np.quantile(table[f"super_{a}"], np.linspace(0.5, 1, 20))
        sub_taus = np.quantile(table[f"sub_{b}"], np.linspace(0.3, 1, 20))
        for super_tau, sub_tau in product(super_taus, sub_taus):
            rule = Rule(LevelRule(a, float(super_tau)), LevelRule(b, float(sub_tau)))
            assert objective(evaluate_rule(ScoreTable(table), rule)) <= best.value + 1e-12


@pytest.mark.parametrize("seed", range(12))
def test_a_search_without_branch_and_bound_finds_the_same_value(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = draw_table(400, seed=seed)
    for goal in (BALANCED, *OTHER_GOALS):
        values = []
        for points in (3, 33, 100_000):  # halves, the default, and every super threshold at once
            monkeypatch.setattr("hierclf.rules.exact._POINTS", points)
            values.append(best_rule(ScoreTable(table), ALL, goal).value)
        assert values == pytest.approx([values[-1]] * 3, abs=1e-12)


def test_more_scores_are_never_worse_and_the_answer_repeats() -> None:
    table = draw_table(1000, seed=3)
    best = best_rule(ScoreTable(table), ALL)
    assert best == best_rule(ScoreTable(table), ALL)
    assert best.value >= max(best_rule(ScoreTable(table), (score,)).value for score in ALL)


def test_a_level_without_novel_rows_never_says_novel() -> None:
    table = draw_table(800, seed=4)
    table = table[table["super_known"]].reset_index(drop=True)
    rule, value = best_rule(ScoreTable(table), ("msp", "knn"))
    assert (table[f"super_{rule.super.score}"] < rule.super.tau).all()
    rows = ScoreTable(table)["sub"]
    alone = max(
        sweep(table[f"sub_{score}"], rows.right, rows.known).best().value
        for score in ("msp", "knn")
    )
    assert value == pytest.approx(alone)


def test_a_sub_level_without_known_rows_is_left_out() -> None:
    table = draw_table(800, seed=4).assign(sub_known=False)
    rule, value = best_rule(ScoreTable(table), ("knn",))
    rows = ScoreTable(table)["super"]
    assert value == pytest.approx(sweep(table["super_knn"], rows.right, rows.known).best().value)
    assert (table["sub_knn"] < rule.sub.tau).all()


def test_what_no_rule_can_be_chosen_from_is_refused() -> None:
    table = draw_table(100)
    with pytest.raises(ValueError, match="at least one score"):
        best_rule(ScoreTable(table), ())
    with pytest.raises(ValueError, match="needs a column 'sub_vim'"):
        best_rule(ScoreTable(table), ("vim",))
    with pytest.raises(ValueError, match="known and novel rows, but got none"):
        best_rule(ScoreTable(table[table["sub_known"]]), ("msp",))
