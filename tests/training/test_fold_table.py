"""Claims about the score table of one fold, on logits written by hand."""

import numpy as np
import pandas as pd

from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy
from hierclf.scores import ScoreInputs
from hierclf.training.fold_table import make_fold_table
from hierclf.training.folds import Fold

HIERARCHY = Hierarchy(
    super_names=("bird", "dog", "fish"),
    sub_names=("owl", "pug", "hen", "cod", "eel"),
    sub_to_super=(0, 1, 0, 2, 2),
    super_ids=(0, 1, 2),
    sub_ids=(0, 1, 2, 3, 4),
    novel_super_id=3,
    novel_sub_id=5,
)
SUB_LABELS = np.array([0, 1, 2, 3, 4, 0])
SUPER_LABELS = np.array(HIERARCHY.sub_to_super)[SUB_LABELS]
# The dog, and with it the pug, is hidden: columns of the logits are (bird, fish), and
# (owl, hen, cod, eel).
FOLD = Fold(
    name="super0",
    known_super=np.array([0, 2]),
    known_sub=np.array([0, 2, 3, 4]),
    train=np.array([2, 3]),
    val=np.array([0, 4]),
    held_out=np.array([1]),
)
ROWS = np.array([0, 4, 1])
SUPER_LOGITS = np.array([[2, 0], [0, 1], [0, 3]], dtype=np.float32)
SUB_LOGITS = np.array([[0, 1, 9, 0], [0, 0, 0, 2], [5, 0, 1, 0]], dtype=np.float32)


CACHE = ImageCache(
    images=np.zeros((6, 1, 1, 3), dtype=np.uint8),
    names=[f"{i}.png" for i in range(6)],
    super_labels=SUPER_LABELS,
    sub_labels=SUB_LABELS,
    hierarchy=HIERARCHY,
    fingerprint="by hand",
    quarantine=pd.DataFrame(columns=["image", "reason"]),
)


def make_table() -> pd.DataFrame:
    inputs = ScoreInputs(np.zeros((3, 2), dtype=np.float32), SUPER_LOGITS, SUB_LOGITS)
    columns = {"super_x": np.array([1.0, 2.0, 3.0], dtype=np.float32)}
    return make_fold_table(FOLD, CACHE, ROWS, inputs, columns).frame


def test_every_row_says_which_image_it_is_and_what_the_model_could_know() -> None:
    table = make_table()
    assert table["image"].tolist() == ["0.png", "4.png", "1.png"]
    assert set(table["fold"]) == {"super0"}
    assert table["split"].tolist() == ["val", "val", "held_out"]
    assert table["super_label"].tolist() == [0, 2, 1]
    assert table["sub_label"].tolist() == [0, 4, 1]
    assert table["super_known"].tolist() == [True, True, False]
    assert table["sub_known"].tolist() == [True, True, False]
    assert table["super_x"].tolist() == [1.0, 2.0, 3.0]


def test_predictions_are_the_hierarchys_indices_and_consistent() -> None:
    table = make_table()
    assert table["super_pred"].tolist() == [0, 2, 2]
    # In row 0 cod has the highest logit, but a bird is an owl or a hen.
    assert table["sub_pred"].tolist() == [2, 4, 3]
    parents = np.array(HIERARCHY.sub_to_super)[table["sub_pred"]]
    np.testing.assert_array_equal(parents, table["super_pred"])


def test_probabilities_run_over_the_known_classes() -> None:
    table = make_table()
    np.testing.assert_allclose(table["super_prob"][0], np.exp(2) / (np.exp(2) + 1), rtol=1e-6)
    expected = np.exp(1) / (1 + np.exp(1) + np.exp(9) + 1)
    np.testing.assert_allclose(table["sub_prob"][0], expected, rtol=1e-6)


def test_a_known_super_class_may_have_a_hidden_sub_class() -> None:
    fold = Fold(
        "sub0", np.array([0, 1, 2]), np.array([1, 2, 3, 4]), np.array([2]), ROWS[1:], ROWS[:1]
    )
    inputs = ScoreInputs(np.zeros((3, 2)), np.eye(3), SUB_LOGITS)
    table = make_fold_table(fold, CACHE, ROWS, inputs, {}).frame
    assert table["super_known"].all()
    assert table["sub_known"].tolist() == [False, True, True]
    assert table["split"].tolist() == ["held_out", "val", "val"]
