"""Claims about the score table: checked once, read by level, rows taken by mask or position."""

import numpy as np
import pandas as pd
import pytest

from hierclf.hierarchy import NOVEL
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import draw_table


def by_hand() -> pd.DataFrame:
    """Known and right; known and wrong; of a novel sub-class, called by the right parent."""
    return pd.DataFrame(
        {
            "fold": ["a", "a", "b"],
            "split": ["val", "val", "held_out"],
            "super_label": [0, 1, 1],
            "super_known": [True, True, True],
            "super_pred": [0, 0, 1],
            "sub_label": [2, 3, 4],
            "sub_known": [True, True, False],
            "sub_pred": [2, 2, 4],
            "super_msp": [0.1, 0.2, 0.3],
            "sub_msp": [0.5, np.nan, 0.7],
        }
    )


def test_a_row_is_right_if_its_class_is_known_and_predicted() -> None:
    table = ScoreTable(by_hand())
    assert table.super.right.tolist() == [True, False, True]
    # The network of the third row cannot know its class, whatever the numbers say.
    assert table.sub.right.tolist() == [True, False, False]
    assert table["sub"] is table.sub


def test_targets_are_novel_where_the_network_does_not_know_the_class() -> None:
    targets = ScoreTable(by_hand()).targets
    assert targets.super.tolist() == [0, 1, 1]
    assert targets.sub.tolist() == [2, 3, NOVEL]


def test_a_level_is_judged_if_it_has_known_and_novel_rows() -> None:
    table = ScoreTable(by_hand())
    assert not table.super.judged
    assert table.sub.judged
    assert not table.where(~table.sub.known).sub.judged


def test_rows_are_taken_by_mask_and_by_position_whatever_the_index() -> None:
    table = ScoreTable(by_hand().set_index(pd.Index([7, 7, 9])))
    assert table.where([True, False, True]).super.labels.tolist() == [0, 1]
    assert table.take([2, 0]).sub.labels.tolist() == [4, 2]
    assert table.where(table.val).folds.tolist() == ["a", "a"]
    both = ScoreTable.concatenate([table, table.take([0])])
    assert both.sub.labels.tolist() == [2, 3, 4, 2]


def test_columns_are_added_to_a_copy_by_position() -> None:
    table = ScoreTable(by_hand().iloc[::-1])
    added = table.with_columns(sub_knn=pd.Series([1.0, 2.0, 3.0]))
    assert added.score("sub", "knn").tolist() == [1.0, 2.0, 3.0]
    assert "sub_knn" not in table.frame


def test_scores_are_read_by_level_and_must_be_finite() -> None:
    table = ScoreTable(by_hand())
    np.testing.assert_allclose(table.score("super", "2*msp"), [0.2, 0.4, 0.6])
    np.testing.assert_allclose(table.score("sub", "super.msp"), [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="`sub_msp` must be finite, but got 1 bad rows"):
        table.score("sub", "msp")
    with pytest.raises(ValueError, match="needs a column 'super_knn', but got fold, split"):
        table.score("super", "knn")


@pytest.mark.parametrize("name", ["super_label", "sub_known", "sub_pred"])
def test_a_required_column_that_is_missing_is_named_at_once(name: str) -> None:
    with pytest.raises(ValueError, match=f"needs a column '{name}', but got fold"):
        ScoreTable(by_hand().drop(columns=name))


@pytest.mark.parametrize(
    ("name", "kind", "rule"),
    [("super_label", float, "integers"), ("sub_pred", str, "integers"), ("sub_known", int, "bool")],
)
def test_a_required_column_of_another_type_is_refused_at_once(
    name: str, kind: type, rule: str
) -> None:
    with pytest.raises(ValueError, match=f"`{name}` of a score table must be {rule}, but got"):
        ScoreTable(by_hand().astype({name: kind}))


def test_a_fold_is_asked_for_only_where_it_is_needed() -> None:
    table = ScoreTable(draw_table(20).drop(columns="fold"))
    assert len(table.super.labels) == 20
    with pytest.raises(ValueError, match="needs a column 'fold'"):
        _ = table.folds
