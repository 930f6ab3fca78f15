"""Claims about what a network says of its fold: tables, scores, the novel unit, the refit."""

import numpy as np
import pandas as pd
import pytest
import torch

from hierclf.data.demo import DEMO_HIERARCHY
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fitted_rows, fold_table
from tests.fold_runs import ALL_SCORES, BANK, CACHE, FOLDS, config_of, run_of


def table_of(run: FoldRun) -> pd.DataFrame:
    return fold_table(run, ALL_SCORES, fit_fold_scores(run, ALL_SCORES)).frame


def test_images_and_features_give_tables_of_the_same_form() -> None:
    tables = [table_of(run_of(features=features)) for features in (None, BANK)]
    for table in tables:
        fold = FOLDS["sub0"]
        assert len(table) == len(fold.val) + len(fold.held_out)
        rows = np.concatenate([fold.val, fold.held_out])
        assert table["image"].tolist() == [CACHE.names[row] for row in rows]
        np.testing.assert_array_equal(table["sub_known"], table["split"] == "val")
        assert table.notna().all(axis=None)
        for level in ("super", "sub"):
            for name in ALL_SCORES:
                assert table[f"{level}_{name}"].dtype == np.float32
    pd.testing.assert_series_equal(tables[0].dtypes, tables[1].dtypes)


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
def test_the_novel_unit_plays_no_part_in_scores_and_predictions(
    features: np.ndarray | None,
) -> None:
    run = run_of(config_of(novel_output=True), features=features)
    fold = run.fold
    heads = run.net.heads if isinstance(run.net, TwoHeadNet) else run.net
    assert isinstance(heads, TwoHeads)
    assert heads.super_head.out_features == len(fold.known_super) + 1
    assert heads.sub_head.out_features == len(fold.known_sub) + 1
    before = table_of(run)
    with torch.no_grad():
        for head in (heads.super_head, heads.sub_head):
            head.bias[-1] = 1e4  # the novel unit is sure
    pd.testing.assert_frame_equal(table_of(run), before)


def test_the_novel_unit_takes_part_in_training() -> None:
    losses = [
        run_of(config_of(novel_output=novel), features=BANK).train_epoch(1)
        for novel in (False, True)
    ]
    assert losses[1] > losses[0]  # one more class to tell apart


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
def test_a_table_made_part_by_part_is_that_made_at_once(
    features: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(features=features)
    expected = table_of(run)
    monkeypatch.setattr("hierclf.training.fold_table.TABLE_CELLS", 500)
    found = table_of(run)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-5)


def test_a_fit_on_a_part_of_the_images_takes_two_of_every_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_of(features=BANK)
    np.testing.assert_array_equal(fitted_rows(run), run.fold.train)
    monkeypatch.setattr("hierclf.training.fold_table.FIT_CELLS", 1)
    rows = fitted_rows(run)
    assert set(rows) < set(run.fold.train)
    assert np.bincount(CACHE.sub_labels[rows])[run.fold.known_sub].tolist() == [2] * len(
        run.fold.known_sub
    )
    states = fit_fold_scores(run, ALL_SCORES)
    assert len(states["knn.bank"]) == len(rows)


def test_the_refit_knows_every_class() -> None:
    run = run_of(fold="all")
    assert np.isfinite(run.train_epoch(1))
    states = fit_fold_scores(run, ALL_SCORES)
    outputs = run.outputs(np.arange(5))
    assert outputs.super_logits.shape == (5, DEMO_HIERARCHY.n_super)
    assert outputs.sub_logits.shape == (5, DEMO_HIERARCHY.n_sub)
    assert len(states["knn.bank"]) == len(CACHE.names)


@pytest.mark.parametrize("fold", ["sub0", "super0"])
@pytest.mark.parametrize("name", ["learned", "flow"])
def test_no_image_of_a_fold_s_held_out_classes_and_none_of_val_enters_the_fit(
    name: str, fold: str
) -> None:
    def fitted(rows: np.ndarray) -> dict[str, bytes]:
        features = BANK.copy()
        features[:, rows] += 3.0
        states = fit_fold_scores(run_of(config_of(), fold, features=features), [name])
        return {key: array.tobytes() for key, array in states.items()}

    unseen = np.concatenate([FOLDS[fold].held_out, FOLDS[fold].val])
    before = fitted(unseen[:0])
    assert fitted(unseen) == before
    changed = fitted(FOLDS[fold].train[:1])
    assert changed.keys() == before.keys()
    assert changed != before
