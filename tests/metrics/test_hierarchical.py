"""Claims about open-set and hierarchical figures, against sklearn, plain loops and hand counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hierclf.hierarchy import NOVEL
from hierclf.metrics.hierarchical import (
    balanced_accuracy,
    consistency_rate,
    hierarchical_distance,
    mistake_severity,
)
from hierclf.metrics.ranking import oscr

Rows = list[tuple[int, bool, bool]]


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), max_size=40))
def test_oscr_is_the_share_of_pairs_whose_known_row_is_right_and_less_novel(rows: Rows) -> None:
    known = [(score, right) for score, right, novel in rows if not novel]
    novel = [score for score, _, is_novel in rows if is_novel]
    score, right, is_novel = np.array(rows, dtype=float).reshape(-1, 3).T
    result = oscr(score, right, is_novel)
    if not known or not novel:
        assert result is None
        return
    # A tie is half a win: the straight line of a tied step halves its square.
    wins = [r * ((s < n) + 0.5 * (s == n)) for s, r in known for n in novel]
    assert result == pytest.approx(sum(wins) / len(wins))


def test_oscr_agrees_with_an_area_drawn_by_hand() -> None:
    # Order of acceptance: known right, novel, {known wrong, novel tied}, known right.
    # CCR 1/3 while the first half of the novel rows enters, still 1/3 while the second does.
    area = oscr([0, 1, 2, 2, 3], [True, False, False, True, True], [0, 1, 0, 1, 0])
    assert area == pytest.approx(1 / 3)
    # Tied with a right known row, the second half rises from 1/3 to 2/3.
    area = oscr([0, 1, 2, 2, 3], [True, False, True, True, False], [0, 1, 0, 1, 0])
    assert area == pytest.approx(0.5 * 1 / 3 + 0.5 * (1 / 3 + 2 / 3) / 2)


def test_oscr_is_the_auroc_if_all_known_rows_are_right_and_bounded_by_their_accuracy() -> None:
    rng = np.random.default_rng(0)
    novel = rng.random(500) < 0.4
    score = np.round(rng.normal(size=500) + novel, 1)
    assert oscr(score, np.ones(500), novel) == pytest.approx(roc_auc_score(novel, score))
    right = rng.random(500) < 0.7
    assert oscr(novel.astype(float), right, novel) == pytest.approx(right[~novel].mean())
    assert oscr(score, right, novel) == oscr(score, right & ~novel, novel)


@pytest.mark.parametrize(
    ("score", "right", "message"),
    [
        ([0.0, np.inf], [True, True], "got 1 bad rows"),
        ([0.0, 1.0], [True], r"\(2,\), \(1,\) and \(2,\)"),
        ([[0.0, 1.0]], [[True, True]], "one shape"),
    ],
)
def test_oscr_refuses_bad_scores_and_lengths(score: list, right: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        oscr(score, right, [True, False])


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@given(st.lists(st.tuples(st.integers(NOVEL, 4), st.integers(NOVEL, 4)), min_size=1, max_size=40))
def test_balanced_accuracy_agrees_with_sklearn(rows: list[tuple[int, int]]) -> None:
    true, pred = np.array(rows).T
    assert balanced_accuracy(true, pred) == pytest.approx(balanced_accuracy_score(true, pred))


def test_balanced_accuracy_counts_novel_as_one_class_and_a_small_class_like_a_large_one() -> None:
    true = [0, 0, 0, 0, 1, NOVEL, NOVEL]
    pred = [0, 0, 0, 0, 0, NOVEL, 7]
    assert balanced_accuracy(true, pred) == pytest.approx((1 + 0 + 0.5) / 3)


def ancestors(super_class: int, sub_class: int) -> list[str]:
    """The path from a leaf to the root, spelled out."""
    return [f"{super_class}/{sub_class}", f"{super_class}", "root"]


@given(st.lists(st.tuples(*[st.integers(NOVEL, 2)] * 4), min_size=1, max_size=30))
def test_distance_is_the_height_of_the_first_ancestor_in_common(
    rows: list[tuple[int, int, int, int]],
) -> None:
    heights = []
    for true_super, true_sub, pred_super, pred_sub in rows:
        above = ancestors(pred_super, pred_sub)
        path = ancestors(true_super, true_sub)
        heights.append(next(h for h, node in enumerate(path) if node in above))
    columns = np.array(rows).T
    assert hierarchical_distance(*columns) == pytest.approx(np.mean(heights))
    wrong = [height for height in heights if height]
    severity = mistake_severity(*columns)
    assert severity == (pytest.approx(np.mean(wrong)) if wrong else None)


def test_distance_and_severity_agree_with_a_count_by_hand() -> None:
    # Heights: right 0, other sub 1, novel sub missed 1, other super 2, novel super missed 2,
    # novel super found 0.
    columns = (
        [0, 0, 0, 0, NOVEL, NOVEL],
        [0, 0, NOVEL, 0, NOVEL, NOVEL],
        [0, 0, 0, 1, 1, NOVEL],
        [0, 1, 1, 0, NOVEL, NOVEL],
    )
    assert hierarchical_distance(*columns) == pytest.approx(6 / 6)
    assert mistake_severity(*columns) == pytest.approx(6 / 4)
    assert mistake_severity([0], [0], [0], [0]) is None


def test_consistency_agrees_with_a_count_by_hand() -> None:
    parents = [0, 0, 1]
    # Agree: own parent, novel sub of a known super, both novel. Not: another's sub, novel super
    # with a known sub.
    supers = [0, 1, 1, NOVEL, 0, NOVEL]
    subs = [1, 2, NOVEL, NOVEL, 2, 0]
    assert consistency_rate(supers, subs, parents) == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("sub", "parents", "message"),
    [(3, [0, 0, 1], r"-1\.\.2, but got 3"), (-2, [0], "got -2"), (0, [-1], "sub_to_super >= 0")],
)
def test_consistency_refuses_classes_outside_the_tree(
    sub: int, parents: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        consistency_rate([0], [sub], parents)


def test_a_figure_without_rows_is_none() -> None:
    assert oscr([], [], []) is None
    assert balanced_accuracy([], []) is None
    assert hierarchical_distance([], [], [], []) is None
    assert mistake_severity([], [], [], []) is None
    assert consistency_rate([], [], [0]) is None


def test_labels_of_another_kind_or_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`pred` must be integers.*float64"):
        balanced_accuracy([0], [0.5])
    with pytest.raises(ValueError, match=r"must have one length, but got \[2, 1, 1, 1\]"):
        hierarchical_distance([0, 1], [0], [0], [0])
    with pytest.raises(ValueError, match=r"must have one length, but got \[1, 2\]"):
        consistency_rate([0], [0, 1], [0])
