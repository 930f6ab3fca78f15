"""The honest estimate of a threshold rule: the classes that choose it never report on it.

A rule chosen on a score table and judged on the same table looks better than it will be on new
classes. Here every part of the sub-classes is reported on by a rule that only the other parts
chose, and a super-class is reported on as novel only by a rule that never saw it novel.

Shape legend: N rows of a score table (see `hierclf.rules.score_table`), C sub-classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hierclf.metrics.accuracy import six_accuracies
from hierclf.rules.exact import BestRule, Scores, best_rule
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.rule import apply_rule
from hierclf.rules.score_table import Ints, ScoreTable

# The second argument is whatever `cross_fit` was given as scores.
Choose = Callable[[ScoreTable, Any], BestRule]


class CrossFit(NamedTuple):
    """What `cross_fit` found.

    Attributes:
        predictions: one row per reported row, indexed by its position in the table, ascending:
            fold, part, pred_super, pred_sub (`NOVEL` or model index), cell (a row of `cells`).
        cells: one row per part and fold: fold, part, n_choose, n_report, and the rule's
            super_score, super_tau, sub_score, sub_tau and value on the rows that chose it.
        accuracies: the six accuracies and harmonic means of all reported rows together.
    """

    predictions: pd.DataFrame
    cells: pd.DataFrame
    accuracies: dict[str, float | None]


def cross_fit(
    table: ScoreTable,
    parts: np.ndarray,
    scores: Scores,
    report_folds: Sequence[str],
    *,
    goal: Goal = BALANCED,
    choose: Choose | None = None,
) -> CrossFit:
    """Report every row by a rule that its class did not choose.

    A cell is a part p of the sub-classes and a fold f: it reports the rows of f with a sub-class in
    p. Its rule is chosen on the rows, of all folds, with a sub-class not in p; if f hides
    super-classes, without every fold that hides one of them. So in each cell no sub-class is on
    both sides, and no super-class is novel on both (as a known one it may be).

    Args:
        table: a score table with true labels and `fold`.
        parts: int [C], the part of each sub-class; at least two.
        scores: what to choose among, as `best_rule` takes it.
        report_folds: names of folds to report; every one of their rows is reported once.
        goal: what rules are chosen for.
        choose: (rows, scores) -> rule and its value; by default `best_rule` for the goal.

    Raises:
        ValueError: one part only, a label without a part, an unknown fold, or what `choose` raises.
    """
    choose = partial(best_rule, goal=goal) if choose is None else choose
    row_part = _row_parts(table, np.asarray(parts))
    hidden = _hidden_supers(table)
    fold = table.folds
    if not report_folds or not set(report_folds) <= set(hidden):
        raise ValueError(f"`report_folds` must be among {list(hidden)}, but got {report_folds}")
    chosen: dict[tuple[int, frozenset[str]], tuple[BestRule, int]] = {}
    predictions: list[pd.DataFrame] = []
    cells: list[dict[str, Any]] = []
    for part, name in product(np.unique(row_part).tolist(), dict.fromkeys(report_folds)):
        report = np.flatnonzero((fold == name) & (row_part == part))
        if not len(report):
            continue
        banned = frozenset(other for other in hidden if hidden[other] & hidden[name])
        if (part, banned) not in chosen:
            chooses = (row_part != part) & ~np.isin(fold, sorted(banned))
            chosen[part, banned] = choose(table.where(chooses), scores), int(chooses.sum())
        (rule, value), n_choose = chosen[part, banned]
        cell = {"fold": name, "part": part}
        decided = apply_rule(table.take(report), rule)
        answers = {"pred_super": decided.super, "pred_sub": decided.sub}
        predictions.append(pd.DataFrame({**cell, **answers, "cell": len(cells)}, index=report))
        counts = {"n_choose": n_choose, "n_report": len(report)}
        cells.append({**cell, **counts, **rule.to_dict(), "value": value})
    return _pool(table, predictions, cells)


def _pool(
    table: ScoreTable, predictions: list[pd.DataFrame], cells: list[dict[str, Any]]
) -> CrossFit:
    pooled = pd.concat(predictions).sort_index()
    truth = table.take(pooled.index).targets
    accuracies = six_accuracies(*truth, pooled["pred_super"], pooled["pred_sub"])
    return CrossFit(pooled, pd.DataFrame(cells), accuracies)


def _row_parts(table: ScoreTable, parts: np.ndarray) -> Ints:
    """The part of each row's sub-class, int64 [N]."""
    labels = table.sub.labels
    outside = (labels < 0) | (labels >= len(parts))
    if outside.any():
        raise ValueError(
            f"every `sub_label` must be in 0..{len(parts) - 1}, but got {labels[outside][0]}"
        )
    row_part = parts[labels].astype(np.int64)
    if len(np.unique(row_part)) < 2:
        raise ValueError(f"at least 2 parts must have rows, but got {len(np.unique(row_part))}")
    return row_part


def _hidden_supers(table: ScoreTable) -> dict[str, frozenset[int]]:
    """For each fold the super-classes that its model does not know, told by the fold's rows."""
    fold, label, novel = table.folds, table.super.labels, ~table.super.known
    return {
        str(name): frozenset(label[novel & (fold == name)].tolist()) for name in np.unique(fold)
    }
