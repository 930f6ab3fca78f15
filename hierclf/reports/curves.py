"""Curves of a score table: seen against unseen accuracy, and the expected value of thresholds.

Shape legend: N rows of a score table, P super and Q sub thresholds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from hierclf.hierarchy import LEVELS, Level
from hierclf.metrics.accuracy import harmonic_mean
from hierclf.rules.choose import expectation
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import Array, ScoreTable
from hierclf.rules.trade_off import sweep

MAX_CURVE_POINTS = 500


class Grid(NamedTuple):
    """Thresholds of one score.

    Attributes:
        taus: float64 [T], ascending.
        quantiles: float64 [T], the fraction of rows at or below each, in [0, 1].
    """

    taus: Array
    quantiles: Array


class TauMap(NamedTuple):
    """Expected values in [0, 1], float64 [P, Q], over thresholds, a rule's own among them."""

    super_grid: Grid
    sub_grid: Grid
    objective: Array


def trade_off_table(table: ScoreTable, scores: Sequence[str]) -> pd.DataFrame:
    """Seen and unseen accuracy of each level and score alone, over thresholds.

    Args:
        table: a score table with `super_NAME` and `sub_NAME` for each of `scores`.
        scores: names or weighted sums.

    Returns:
        level, score, tau, seen, unseen, harmonic; tau ascending within a level and score, at most
        `MAX_CURVE_POINTS` points, including both ends and the best. A level without known or
        without novel rows is left out.

    Raises:
        ValueError: a missing column, scores that are not finite.
    """
    parts = []
    for level in LEVELS:
        rows = table.labelled(level)
        for name in scores if rows[level].judged else ():
            taus, seen, unseen = thinned_curve(rows, level, rows.score(level, name))
            points = {"tau": taus, "seen": seen, "unseen": unseen}
            points["harmonic"] = harmonic_mean(seen, unseen)
            parts.append(pd.DataFrame({"level": level, "score": name, **points}))
    columns = ["level", "score", "tau", "seen", "unseen", "harmonic"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def best_curves(table: ScoreTable, level: Level, scores: Sequence[str], *, n: int = 3) -> list[str]:
    """The n scores with the highest harmonic mean at their best threshold, and `msp`.

    Args:
        table: a score table.
        level: where to compare.
        scores: names; those that the table lacks are ignored.
        n: how many.

    Returns:
        Names in the order of `scores`; none at a level without known or without novel rows.
    """
    labelled = table.labelled(level)
    rows = labelled[level]
    names = [name for name in scores if f"{level}_{name}" in table.frame]
    if not rows.judged:
        return []
    value = {
        name: sweep(labelled.score(level, name), rows.right, rows.known).best().value
        for name in names
    }
    kept = {"msp", *sorted(names, key=lambda name: -value[name])[:n]}
    return [name for name in names if name in kept]


def pareto_front(trials: pd.DataFrame) -> pd.DataFrame:
    """The rules of a search that no other one beats at both levels, the best super level first.

    Args:
        trials: one row a rule with super_value and sub_value, floats; rows without either are left
            out.
    """
    whole = trials.dropna(subset=["super_value", "sub_value"])
    ranked = whole.sort_values(["super_value", "sub_value"], ascending=False, kind="stable")
    sub = ranked["sub_value"].to_numpy()
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(sub)[:-1]])
    return ranked[sub > best_before]


def tau_map(table: ScoreTable, rule: Rule, *, n: int = 60) -> TauMap:
    """The expected value of a rule's scores over a grid of thresholds, its own among them.

    Args:
        table: what the rule was chosen on; rule: its scores and thresholds.
        n: thresholds per level, at equal steps in the fraction of rows that they let through.

    Raises:
        ValueError: no held-out class, a missing column.
    """
    value = expectation(table, rule.super.score, rule.sub.score)
    super_grid = _grid(value.super_scores, rule.super.tau, n)
    sub_grid = _grid(value.sub_scores, rule.sub.tau, n)
    return TauMap(super_grid, sub_grid, value.values(super_grid.taus, sub_grid.taus))


def thinned_curve(table: ScoreTable, level: Level, score: Array) -> tuple[Array, Array, Array]:
    """Thresholds, seen and unseen accuracy of a level alone, at most `MAX_CURVE_POINTS` each."""
    curve = sweep(score, table[level].right, table[level].known)
    best = int(np.argmax(harmonic_mean(curve.seen, curve.unseen)))
    steps = np.linspace(0, len(curve.taus) - 1, MAX_CURVE_POINTS - 1).round().astype(np.int64)
    kept = np.union1d(steps, best)
    return curve.taus[kept], curve.seen[kept], curve.unseen[kept]


def _grid(score: Array, tau: float, n: int) -> Grid:
    """Thresholds at quantiles of a score, one that rejects every row, and `tau`."""
    ordered = np.sort(score)
    lowest = np.nextafter(ordered[0], -np.inf)
    taus = np.concatenate([[tau, lowest], np.quantile(ordered, np.linspace(0.0, 1.0, n))])
    quantiles = np.searchsorted(ordered, taus, side="right") / len(ordered)
    # Of thresholds that decide alike only the first is kept: `tau`, if it is one of them.
    quantiles, first = np.unique(quantiles, return_index=True)
    return Grid(taus[first], quantiles)
