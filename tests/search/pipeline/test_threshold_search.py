"""Claims about the search for thresholds by trials, against the exact best rule."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.goals import objective
from hierclf.rules.rule import PAPER_RULE, LevelRule, Rule, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from search.pipeline.threshold_search import search_rule
from tests.drawn_tables import draw_table

SCORES = ("msp", "max_logit", "energy", "knn")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_search_comes_within_a_tenth_of_a_point_of_the_best_rule(seed: int) -> None:
    found = search_rule(ScoreTable(draw_table(11_180)), SCORES, seed=seed)
    assert 0.0 <= found.regret <= 0.1
    assert found.regret == pytest.approx(100 * (found.exact_value - found.value))


def test_the_value_is_what_the_rule_gets_on_the_table_and_the_best_of_its_trials() -> None:
    table = draw_table(1000)
    found = search_rule(ScoreTable(table), SCORES, trials=30)
    assert found.value == pytest.approx(objective(evaluate_rule(ScoreTable(table), found.rule)))
    assert found.value == pytest.approx(found.trials["value"].max())
    for row in found.trials.to_dict("records"):
        rule = Rule(
            LevelRule(row["super_score"], row["super_tau"]),
            LevelRule(row["sub_score"], row["sub_tau"]),
        )
        result = evaluate_rule(ScoreTable(table), rule)
        assert row["value"] == pytest.approx(objective(result))
        assert row["sub_value"] == pytest.approx(result["sub_harmonic"])


def test_the_first_trial_decides_every_row_as_the_paper_does() -> None:
    table = draw_table(1000, decimals=2)
    first = search_rule(ScoreTable(table), SCORES, trials=1).trials.iloc[0]
    assert (first["super_score"], first["sub_score"]) == ("msp", "msp")
    for level, tau in (("super", PAPER_RULE.super.tau), ("sub", PAPER_RULE.sub.tau)):
        score = table[f"{level}_msp"].to_numpy(float)
        assert ((score > first[f"{level}_tau"]) == (score > tau)).all()


def test_the_same_seed_gives_the_same_trials_and_another_seed_others() -> None:
    table = draw_table(500)
    first, again, other = (
        search_rule(ScoreTable(table), SCORES, trials=24, seed=s).trials for s in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    assert first["number"].tolist() == list(range(24))
    assert first["phase"].value_counts().to_dict() == {"explore": 10, "refine": 7, "weigh": 7}


def test_scores_are_searched_alike_whatever_their_scale() -> None:
    table = draw_table(500)
    scaled = table.assign(
        **{
            f"{level}_{s}": table[f"{level}_{s}"] * 1024
            for level in ("super", "sub")
            for s in SCORES
        }
    )
    plain, large = (
        search_rule(ScoreTable(t), ("knn", "energy"), trials=40) for t in (table, scaled)
    )
    assert plain.value == large.value
    np.testing.assert_array_equal(plain.trials["sub_share"], large.trials["sub_share"])


def test_a_level_without_novel_rows_never_says_novel() -> None:
    table = draw_table(600)
    table = table[table["super_known"]].reset_index(drop=True)
    found = search_rule(ScoreTable(table), SCORES, trials=20)
    assert (table[f"super_{found.rule.super.score}"] < found.rule.super.tau).all()
    assert found.trials["super_value"].isna().all()
    assert found.value == evaluate_rule(ScoreTable(table), found.rule)["sub_harmonic"]


def test_a_search_without_msp_starts_without_the_paper() -> None:
    found = search_rule(ScoreTable(draw_table(500)), ("knn",), trials=5)
    assert found.trials["super_score"].str.contains("knn").all()
    assert not found.trials["super_score"].str.contains("msp").any()


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="`trials >= 1` must hold, but got trials=0"):
        search_rule(ScoreTable(draw_table(100)), SCORES, trials=0)
