"""What a trial is judged by, counted by hand and computed with scikit-learn."""

import statistics

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from hierclf.rules.score_table import ScoreTable
from search.tuning.objective import EPOCH_SCORES, epoch_metrics
from tests.drawn_tables import draw_table


def hand_made() -> pd.DataFrame:
    """Four known rows, one of them wrong, and two of a hidden sub-class; no super is hidden."""
    sub_msp = np.array([0.1, 0.2, 0.3, 0.15, 0.25, 0.9])
    return pd.DataFrame(
        {
            "split": ["val"] * 4 + ["held_out"] * 2,
            "super_label": [0, 0, 1, 1, 0, 1],
            "super_pred": [0, 0, 1, 0, 1, 1],
            "super_known": [True] * 6,
            "sub_label": [0, 1, 2, 2, 3, 4],
            "sub_pred": [0, 1, 2, 0, 0, 2],
            "sub_known": [True] * 4 + [False] * 2,
            **{f"super_{score}": np.zeros(6) for score in EPOCH_SCORES},
            "sub_msp": sub_msp,
            "sub_max_logit": np.zeros(6),
            "sub_energy": -sub_msp,
        }
    )


def test_a_table_counted_by_hand() -> None:
    # tau between 0.2 and 0.25: 2 of 4 known rows right and kept, 2 of 2 novel ones found. The next
    # best, above 0.3, keeps 3 of 4 and finds 1 of 2: 0.6.
    found = epoch_metrics(ScoreTable(hand_made()))
    assert found["sub_harmonic"] == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert found["sub_known_accuracy"] == 3 / 4
    assert found["super_known_accuracy"] == 3 / 4


def test_a_level_with_nothing_hidden_is_left_out_of_the_objective() -> None:
    found = epoch_metrics(ScoreTable(hand_made()))
    assert "super_harmonic" not in found
    assert found["objective"] == found["sub_harmonic"]


def test_the_best_score_counts_whichever_it_is() -> None:
    table = hand_made()
    table["sub_energy"] = [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]  # parts known from novel without a fault
    assert epoch_metrics(ScoreTable(table))["sub_harmonic"] == pytest.approx(2 * 0.75 / 1.75)


def reference(table: pd.DataFrame, level: str, score: str) -> float:
    """The best harmonic mean over every threshold, by scikit-learn's accuracy of whole answers."""
    values = table[f"{level}_{score}"].to_numpy(float)
    known = table[f"{level}_known"].to_numpy()
    truth = np.where(known, table[f"{level}_label"], -1)
    best = 0.0
    for tau in [values.min() - 1.0, *np.unique(values)]:
        answer = np.where(values > tau, -1, table[f"{level}_pred"])
        seen = accuracy_score(truth[known], answer[known])
        unseen = accuracy_score(truth[~known], answer[~known])
        best = max(best, statistics.harmonic_mean([seen, unseen]))
    return best


@pytest.mark.parametrize("seed", [0, 1])
def test_it_agrees_with_scikit_learn_over_every_threshold(seed: int) -> None:
    table = draw_table(150, seed=seed, decimals=2)
    table["split"] = np.where(table["sub_known"], "val", "held_out")
    found = epoch_metrics(ScoreTable(table))
    for level in ("super", "sub"):
        best = max(reference(table, level, score) for score in EPOCH_SCORES)
        assert found[f"{level}_harmonic"] == pytest.approx(best)
        val = table[table["split"] == "val"]
        closed = accuracy_score(val[f"{level}_label"], val[f"{level}_pred"])
        assert found[f"{level}_known_accuracy"] == pytest.approx(closed)
    both = (found["super_harmonic"] + found["sub_harmonic"]) / 2
    assert found["objective"] == pytest.approx(both)
