"""Claims about the search for thresholds by trials, against a sweep of all thresholds."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.choose import expectation
from hierclf.rules.score_table import ScoreTable
from search.pipeline.threshold_search import search_thresholds
from tests.drawn_tables import draw_table

NAMES = ("msp", "max_logit", "energy", "knn")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_search_comes_within_a_tenth_of_a_point_of_the_sweep(seed: int) -> None:
    found = search_thresholds(ScoreTable(draw_table(11_180)), NAMES, seed=seed)
    assert found.regret <= 0.1
    assert found.regret == pytest.approx(100 * (found.sweep.value - found.value))


def test_every_trial_is_valued_by_what_its_thresholds_are_expected_to_bring() -> None:
    table = ScoreTable(draw_table(1000))
    found = search_thresholds(table, NAMES, trials=30)
    assert found.value == pytest.approx(found.trials["value"].max())
    value = expectation(table, found.rule.super.score, found.rule.sub.score)
    for row in found.trials.to_dict("records"):
        taus = np.array([row["super_tau"]]), np.array([row["sub_tau"]])
        assert row["value"] == pytest.approx(value.values(*taus)[0, 0])
        assert row["value"] == pytest.approx((row["super_value"] + row["sub_value"]) / 2)


def test_the_first_trial_lets_through_as_many_rows_as_are_known() -> None:
    table = draw_table(1000)
    first = search_thresholds(ScoreTable(table), NAMES, trials=1).trials.iloc[0]
    assert first["super_fraction"] == pytest.approx(table["super_known"].mean())
    assert first["sub_fraction"] == pytest.approx(table["sub_known"].mean())


def test_the_same_seed_gives_the_same_trials_and_another_seed_others() -> None:
    table = draw_table(500)
    first, again, other = (
        search_thresholds(ScoreTable(table), NAMES, trials=20, seed=s).trials for s in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    assert first["number"].tolist() == list(range(20))
    assert first["phase"].value_counts().to_dict() == {"explore": 12, "refine": 8}


def test_a_level_without_novel_rows_never_says_novel() -> None:
    table = draw_table(600)
    own = ScoreTable(table[table["super_known"]].reset_index(drop=True))
    found = search_thresholds(own, NAMES, trials=20)
    assert (own.score("super", found.rule.super.score) < found.rule.super.tau).all()
    assert found.trials["super_value"].isna().all()
    assert found.value == pytest.approx(found.trials["sub_value"].max())


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="`trials >= 1` must hold, but got trials=0"):
        search_thresholds(ScoreTable(draw_table(100)), NAMES, trials=0)
