"""Every fold's heads, thresholds and what to expect of them, as a search ends: without Ray.

Shape legend: N rows of the score table, C sub-classes.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hierclf.config import Config
from hierclf.rules.calibration import Calibration, calibrate_rule
from hierclf.rules.choose import choose_rule
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.promise import Promised, cross_fitted_promise
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import ScoreTable
from hierclf.scores import State
from hierclf.scores.one_thread import one_thread
from hierclf.training.added_folds import may_report, with_own_novel
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table, novel_table
from hierclf.training.folds import CALIBRATION, REFERENCE, REFIT
from hierclf.training.prepare import Prepared, judges_novel

_CPU = torch.device("cpu")


def train_epochs(run: FoldRun) -> None:
    """Train a fold's heads as the configuration says."""
    for epoch in range(1, run.config.train.epochs + 1):
        run.train_epoch(epoch)


class Fitted(NamedTuple):
    """Heads on all images, and what the folds say of them.

    Attributes:
        run: the network that knows all classes and was trained on all images.
        states: its fitted scores.
        table: N rows, scores in its terms, ordered by fold, split and image.
        parts: int64 [C], the part of each sub-class; the user's own novel ones follow.
        report: bool [N], the rows that may report.
        rule: chosen on the table.
        calibration: that goes with it.
        promised: what to expect of it.
        goal: what it was chosen for.
    """

    run: FoldRun
    states: State
    table: ScoreTable
    parts: NDArray[np.int64]
    report: NDArray[np.bool_]
    rule: Rule
    calibration: Calibration
    promised: Promised
    goal: Goal


def fit_heads(
    prepared: Prepared,
    config: Config,
    parts: NDArray[np.int64],
    chosen_on: list[str],
    *,
    train: Callable[[FoldRun], None] = train_epochs,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train heads on every fold with the configuration as it is, and choose thresholds.

    Args:
        prepared: images, folds and frozen features.
        config: the configuration, used as it is.
        parts: int64 [C], the part of each known sub-class.
        chosen_on: names of the folds on which its values were chosen.
        train: gives a fold's heads their weights.
        progress: called as (folds done, folds).

    Raises:
        ValueError: outputs that are not finite.
    """
    names, tables, final = config.thresholds.scores, [], None
    with one_thread():
        for number, fold in enumerate(prepared.folds.values()):
            run = FoldRun(fold, prepared, config, _CPU)
            train(run)
            states = fit_fold_scores(run, names)
            if fold.name == REFIT:
                final = run, states
            else:
                tables.append(fold_table(run, names, states))
            if fold.name == REFERENCE and judges_novel(prepared):
                tables.append(novel_table(run, names, states))
            if progress is not None:
                progress(number + 1, len(prepared.folds))
        assert final is not None
        table = normalise_to_final(_ordered(tables), names, *CALIBRATION)
        if prepared.novel is not None:
            parts = with_own_novel(parts, prepared.novel.n_judging)
        report = may_report(table.folds, parts[table.sub.labels], chosen_on)
        goal, promised = expected_of(table, parts, report, names, config.thresholds.target)
        rule = choose_rule(table, names, goal=goal).rule
        calibration = calibrate_rule(table, rule)
    return Fitted(*final, table, parts, report, rule, calibration, promised, goal)


def expected_of(
    table: ScoreTable,
    parts: NDArray[np.int64],
    report: NDArray[np.bool_],
    names: tuple[str, ...],
    goal: Goal,
) -> tuple[Goal, Promised]:
    """What to expect of the rule for a goal; of the balanced one where it cannot be reached.

    Args:
        table: N rows.
        parts, report: as in `Fitted`.
        names: scores to fuse.
        goal: what the rule is chosen for.
    """
    try:
        return goal, cross_fitted_promise(table, parts, report, names, goal=goal)
    except ValueError:
        if goal == BALANCED:
            raise
        return BALANCED, cross_fitted_promise(table, parts, report, names)


def _ordered(tables: list[ScoreTable]) -> ScoreTable:
    frame = ScoreTable.concatenate(tables).frame
    order = ["fold", "split", "image"]
    return ScoreTable(frame.sort_values(order, kind="stable", ignore_index=True))
