"""Claims about the six accuracies and the figures beside them, against hand counts and sklearn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score

from hierclf.hierarchy import NOVEL
from hierclf.metrics.accuracy import constant_predictions, harmonic_mean, six_accuracies
from hierclf.metrics.calibration_error import expected_calibration_error
from hierclf.metrics.ranking import novelty_metrics
from hierclf.rules.goals import Goal, objective


def test_six_accuracies_agree_with_a_count_by_hand() -> None:
    # super: rows 0-3 known (2 right), row 4 novel (right). sub: rows 0-1 known (1), 2-4 novel (2).
    result = six_accuracies(
        [0, 0, 1, 1, NOVEL],
        [3, 4, NOVEL, NOVEL, NOVEL],
        [0, 1, 1, NOVEL, NOVEL],
        [3, 5, 7, NOVEL, NOVEL],
    )
    assert result["super_overall"] == pytest.approx(3 / 5)
    assert result["super_seen"] == pytest.approx(2 / 4)
    assert result["super_unseen"] == 1.0
    assert result["super_harmonic"] == pytest.approx(2 * 0.5 / 1.5)
    assert result["sub_overall"] == pytest.approx(3 / 5)
    assert result["sub_seen"] == pytest.approx(1 / 2)
    assert result["sub_unseen"] == pytest.approx(2 / 3)
    assert result["sub_harmonic"] == pytest.approx(4 / 7)


def test_a_part_without_rows_is_none_and_never_nan() -> None:
    result = six_accuracies([0, 1], [NOVEL, NOVEL], [0, 0], [1, NOVEL])
    assert result["super_unseen"] is result["super_harmonic"] is result["sub_seen"] is None
    assert result["super_seen"] == result["sub_unseen"] == 0.5
    assert set(six_accuracies([], [], [], []).values()) == {None}


@pytest.mark.parametrize(
    ("labels", "message"), [([0.5], "must be integers"), ([0, 1], r"lengths \[2, 1, 1, 1\]")]
)
def test_labels_of_another_kind_or_length_are_refused(labels: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        six_accuracies(labels, [0], [0], [0])


def test_always_novel_is_right_on_exactly_the_novel_rows() -> None:
    true_super, true_sub = [0, 1, NOVEL, NOVEL], [0, NOVEL, NOVEL, NOVEL]
    result = constant_predictions(true_super, true_sub, [0, 0, 0, 0], [0, 1, 1, 1])
    always, never = result["always_novel"], result["never_novel"]
    assert (always["super_overall"], always["super_seen"], always["super_unseen"]) == (0.5, 0, 1)
    assert (always["sub_overall"], always["sub_harmonic"]) == (0.75, 0)
    assert (never["super_overall"], never["super_seen"], never["super_unseen"]) == (0.25, 0.5, 0)
    assert (never["sub_overall"], never["sub_seen"]) == (0.25, 1)


def test_the_harmonic_mean_is_zero_for_two_zeros_and_none_for_a_missing_side() -> None:
    np.testing.assert_allclose(harmonic_mean([0.0, 0.6], [0.0, 0.9]), [0.0, 0.72])
    figures = six_accuracies([0, 1], [NOVEL, NOVEL], [0, 0], [NOVEL, 3])
    assert figures["super_harmonic"] is figures["sub_harmonic"] is None


def test_objective_averages_the_levels_that_have_both_sides() -> None:
    both = {"super_seen": 0.8, "super_unseen": 0.8, "sub_seen": 0.9, "sub_unseen": 0.45}
    one, neither = both | {"super_unseen": None}, dict.fromkeys(both)
    assert objective(both) == pytest.approx(0.7)
    assert objective(one) == pytest.approx(0.6)
    assert objective(both, Goal("overall", novel_rate=0.2)) == pytest.approx((0.8 + 0.81) / 2)
    apart = Goal("overall", novel_rate=0.2, super_novel_rate=0.6)
    assert objective(both | {"super_seen": 0.3}, apart) == pytest.approx((0.6 + 0.81) / 2)
    assert objective(one, Goal("seen-at-least", seen=0.9)) == 0.45
    assert objective(both, Goal("seen-at-least", seen=0.9)) < 0
    with pytest.raises(ValueError, match="got none"):
        objective(neither)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60))
def test_novelty_metrics_agree_with_sklearn_and_with_the_definition(
    rows: list[tuple[int, bool]],
) -> None:
    score = np.array([row[0] for row in rows], dtype=float)
    novel = np.array([row[1] for row in rows])
    result = novelty_metrics(score, novel)
    if novel.all() or not novel.any():
        assert set(result.values()) == {None}
        return
    assert result["auroc"] == pytest.approx(roc_auc_score(novel, score))
    assert result["aupr"] == pytest.approx(average_precision_score(novel, score))
    taus = np.unique(score) - 0.5
    rates = [((score > t)[~novel].mean(), (score > t)[novel].mean()) for t in taus]
    assert result["fpr95"] == pytest.approx(min(fpr for fpr, tpr in rates if tpr >= 0.95))


def test_novelty_metrics_refuse_scores_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="got 1 bad rows"):
        novelty_metrics([0.0, np.nan], [True, False])


def test_calibration_error_agrees_with_sklearn_and_with_a_count_by_hand() -> None:
    # Two bins of two: |0.5 - 0.3| and |1 - 0.8|, half the rows each.
    hand = expected_calibration_error([0.2, 0.4, 0.7, 0.9], [True, False, True, True], bins=2)
    assert hand == pytest.approx(0.5 * 0.2 + 0.5 * 0.2)
    rng = np.random.default_rng(0)
    prob = rng.random(2000)
    correct = rng.random(2000) < prob**2
    accuracy, mean = calibration_curve(correct, prob, n_bins=15)
    weight = np.histogram(prob, bins=15, range=(0, 1))[0] / 2000
    theirs = float((np.abs(accuracy - mean) * weight).sum())
    assert expected_calibration_error(prob, correct) == pytest.approx(theirs)


def test_calibration_error_counts_probabilities_of_exactly_zero_and_one() -> None:
    assert expected_calibration_error([0.0, 1.0], [True, False]) == pytest.approx(1.0)
    assert expected_calibration_error([0.0, 1.0], [False, True]) == pytest.approx(0.0)
    assert expected_calibration_error([], []) is None


@pytest.mark.parametrize(("prob", "bins"), [(1.5, 15), (np.nan, 15), (0.5, 0)])
def test_calibration_error_refuses_what_is_no_probability(prob: float, bins: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        expected_calibration_error([prob], [True], bins=bins)
