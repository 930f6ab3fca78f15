"""Claims about which rows may report: what chose the hyper-parameters never does."""

from pathlib import Path

import numpy as np
import pandas as pd

from hierclf.config import parse_config
from hierclf.rules.score_table import ScoreTable
from hierclf.training.folds import REFERENCE
from hierclf.training.novel_images import NovelImages
from hierclf.training.prepare import Prepared
from hierclf.training.reopen import PreparedFiles
from search.pipeline.run import Run, search_folds
from search.pipeline.run_folder import RunFolder
from search.pipeline.threshold_stage import class_parts, reporting_rows
from search.trials.plan import Plan
from tests.fold_runs import CACHE
from tests.planned_folds import plan_folds

CONFIG = parse_config({"folds": {"sub": 3, "super": 3}, "seed": 0})
FOLDS = plan_folds(
    CACHE.super_labels,
    CACHE.sub_labels,
    CACHE.hierarchy,
    sub_folds=3,
    super_folds=3,
    val_fraction=0.2,
    seed=0,
)


def run_with(novel: NovelImages | None = None) -> Run:
    folds = {fold.name: fold for fold in FOLDS}
    return Run(
        name="one",
        folder=RunFolder(Path("one")),
        config=CONFIG,
        prepared=Prepared(CACHE, folds, None, None, novel),
        files=PreparedFiles(Path("images"), "", None, None, folds, {}),
        plan=Plan(1, 1, False, 1, 0),
        cache_dir=Path("images"),
        time_budget_s=None,
        mlflow_uri="",
        experiment_id="",
        parent_run_id="",
        registered_model="hierclf",
        take_over=False,
    )


def own_classes(n: int) -> NovelImages:
    names = [f"bird/new {i}" for i in range(n)]
    return NovelImages(CACHE, np.arange(n), names, np.full(n, -1), n, None)


def rows(*named: tuple[str, int]) -> ScoreTable:
    """A row of each fold and sub-class."""
    frame = pd.DataFrame(named, columns=["fold", "sub_label"])
    for name in ("super_label", "super_pred", "sub_pred"):
        frame[name] = 0
    return ScoreTable(frame.assign(super_known=True, sub_known=True))


def test_part_0_is_what_the_searchs_sub_fold_hides_and_so_on() -> None:
    parts, folds = class_parts(run_with()), run_with().prepared.folds
    for part in range(3):
        hidden = np.unique(CACHE.sub_labels[folds[f"sub{part}"].held_out])
        np.testing.assert_array_equal(np.flatnonzero(parts == part), hidden)


def test_the_search_looks_at_the_first_fold_of_each_kind() -> None:
    assert search_folds(run_with()) == ["sub0", "super0"]


def test_neither_the_searchs_folds_nor_the_classes_that_it_saw_hidden_report() -> None:
    run = run_with()
    parts = class_parts(run)
    seen, other = (int(np.flatnonzero(parts == part)[0]) for part in (0, 1))
    expected = {
        ("sub0", other): False,  # chose the hyper-parameters
        ("super0", other): False,
        ("sub1", seen): False,  # of a class that was new while they were chosen
        ("super1", seen): False,
        ("sub1", other): True,
        ("super1", other): True,
    }
    found = reporting_rows(run, rows(*expected))
    assert found.tolist() == list(expected.values())


def test_own_novel_classes_are_in_no_part_that_the_search_saw_and_all_report() -> None:
    run = run_with(own_classes(5))
    parts, n_sub = class_parts(run), CACHE.hierarchy.n_sub
    np.testing.assert_array_equal(parts[:n_sub], class_parts(run_with()))
    assert parts[n_sub:].tolist() == [1, 2, 1, 2, 1]
    own = rows(*((REFERENCE, n_sub + i) for i in range(5)))
    assert reporting_rows(run, own).all()
