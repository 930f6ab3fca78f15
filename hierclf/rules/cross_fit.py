"""Cross-fitting: the classes that choose a rule never report on it.

A rule chosen on a score table and judged on the same table looks better than it will be on new
classes. Here every part of the sub-classes is reported on by a rule that only the other parts
chose, and a super-class is reported on as novel only by a rule that never saw it novel.

Shape legend: N rows of a score table, C sub-classes.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hierclf.hierarchy import LEVELS, UNLABELLED
from hierclf.metrics.accuracy import six_accuracies
from hierclf.rules.choose import Chosen, choose_rule
from hierclf.rules.evidence import KNOWN, Evidence
from hierclf.rules.expected import Units
from hierclf.rules.rule import Rule, apply_rule
from hierclf.rules.score_table import Ints, ScoreTable

Choose = Callable[[ScoreTable, Sequence[str]], Chosen]


class CrossFit(NamedTuple):
    """What `cross_fit` found.

    Attributes:
        predictions: one row per reported row, indexed by its position in the table, ascending:
            fold, part, pred_super, pred_sub (`NOVEL` or model index), super_margin and sub_margin
            (score less threshold, in units of the score's spread over known rows; above 0 is
            novel), cell (a row of `cells`).
        cells: one row per part and fold: fold, part, n_choose, n_report, and the rule's
            super_score, super_tau, sub_score, sub_tau and expected value.
        accuracies: the six accuracies and harmonic means of all reported rows together.
    """

    predictions: pd.DataFrame
    cells: pd.DataFrame
    accuracies: dict[str, float | None]


def cross_fit(
    table: ScoreTable,
    parts: np.ndarray,
    names: Sequence[str],
    report_folds: Sequence[str],
    *,
    choose: Choose = choose_rule,
) -> CrossFit:
    """Predict every row with a rule that was chosen without its class.

    A cell is a part p of the sub-classes and a fold f: it reports the rows of f with a sub-class in
    p. Its rule is chosen on the rows, of all folds, with a sub-class not in p; if f hides
    super-classes, without every fold that hides one of them. So in each cell no sub-class is on
    both sides, and no super-class is novel on both (as a known one it may be).

    Args:
        table: a score table with true labels and `fold`.
        parts: int [C], the part of each sub-class; at least two.
        names: scores to fuse.
        report_folds: names of folds to report; every one of their rows is reported once.
        choose: (rows, names) -> rule and its value.

    Raises:
        ValueError: one part only, a label without a part, an unknown fold, or what `choose` raises.
    """
    row_part = _row_parts(table, np.asarray(parts))
    hidden = _hidden_supers(table)
    fold = table.folds
    if not report_folds or not set(report_folds) <= set(hidden):
        raise ValueError(f"`report_folds` must be among {list(hidden)}, but got {report_folds}")
    chosen: dict[tuple[int, frozenset[str]], _Cell] = {}
    predictions: list[pd.DataFrame] = []
    cells: list[dict[str, Any]] = []
    for part, name in product(np.unique(row_part).tolist(), dict.fromkeys(report_folds)):
        report = np.flatnonzero((fold == name) & (row_part == part))
        if not len(report):
            continue
        banned = frozenset(other for other in hidden if hidden[other] & hidden[name])
        if (part, banned) not in chosen:
            chooses = table.where((row_part != part) & ~np.isin(fold, sorted(banned)))
            chosen[part, banned] = _Cell(chooses, *choose(chooses, names))
        cell = chosen[part, banned]
        key = {"fold": name, "part": part}
        reported = cell.report(table.take(report)).set_index(report)
        predictions.append(reported.assign(**key, cell=len(cells)))
        counts = {"n_choose": len(cell.chooses), "n_report": len(report)}
        cells.append({**key, **counts, **cell.rule.to_dict(), "value": cell.value})
    return _pool(table, predictions, cells)


class _Cell(NamedTuple):
    """The rows that chose a rule, the rule, and its expected value."""

    chooses: ScoreTable
    rule: Rule
    value: float

    def report(self, rows: ScoreTable) -> pd.DataFrame:
        """Predictions and margins of rows that did not choose."""
        known = Evidence.of(self.chooses).rows(KNOWN)
        decided = apply_rule(rows, self.rule)
        columns: dict[str, np.ndarray] = {"pred_super": decided.super, "pred_sub": decided.sub}
        for level in LEVELS:
            score, tau = self.rule[level]
            spread = Units.of(self.chooses.score(level, score), known).spread
            columns[f"{level}_margin"] = (rows.score(level, score) - tau) / spread
        return pd.DataFrame(columns)


def _pool(
    table: ScoreTable, predictions: list[pd.DataFrame], cells: list[dict[str, Any]]
) -> CrossFit:
    pooled = pd.concat(predictions).sort_index()
    rows = table.take(pooled.index)
    judged = pooled[rows.super.labels != UNLABELLED]
    truth = rows.labelled("super").targets
    accuracies = six_accuracies(*truth, judged["pred_super"], judged["pred_sub"])
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
    fold, label = table.folds, table.super.labels
    novel = ~table.super.known & (label != UNLABELLED)
    return {
        str(name): frozenset(label[novel & (fold == name)].tolist()) for name in np.unique(fold)
    }
