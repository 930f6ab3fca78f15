"""Curves of a score table: seen against unseen accuracy, and the objective over both thresholds.

Shape legend: N rows of a score table, P super and Q sub thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from hierclf.hierarchy import LEVELS, Level
from hierclf.metrics.accuracy import harmonic_mean
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import (
    Array,
    Bools,
    Ints,
    ScoreTable,
)
from hierclf.rules.trade_off import sweep

MAX_CURVE_POINTS = 500


class Grid(NamedTuple):
    """Thresholds of one score: taus [T], ascending, and shares [T] of rows at or below each."""

    taus: Array
    shares: Array


class TauMap(NamedTuple):
    """The objective in [0, 1], float64 [P, Q], over thresholds; a rule's own are among them."""

    super_grid: Grid
    sub_grid: Grid
    objective: Array


def trade_off_table(table: ScoreTable, scores: Sequence[str]) -> pd.DataFrame:
    """Seen against unseen accuracy of each level and score by itself, over thresholds.

    Args:
        table: a score table with `super_NAME` and `sub_NAME` for every name of `scores`.
        scores: names or weighted sums.

    Returns:
        level, score, tau, seen, unseen, harmonic; tau ascending within a level and score. At most
        `MAX_CURVE_POINTS` of each, with both ends and the best. A level without known or without
        novel rows is left out.

    Raises:
        ValueError: a missing column, scores that are not finite.
    """
    parts = []
    for level in LEVELS:
        for name in scores if table[level].judged else ():
            taus, seen, unseen = thinned_curve(table, level, table.score(level, name))
            points = {"tau": taus, "seen": seen, "unseen": unseen}
            points["harmonic"] = harmonic_mean(seen, unseen)
            parts.append(pd.DataFrame({"level": level, "score": name, **points}))
    columns = ["level", "score", "tau", "seen", "unseen", "harmonic"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def best_curves(table: ScoreTable, level: Level, scores: Sequence[str], *, n: int = 3) -> list[str]:
    """The n scores whose curves come closest to the balanced goal, and `msp` where it is there.

    In the order of `scores`; none at a level without known or without novel rows.
    """
    rows = table[level]
    names = [name for name in scores if f"{level}_{name}" in table.frame]
    if not rows.judged:
        return []
    value = {
        name: sweep(table.score(level, name), rows.right, rows.known).best().value for name in names
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
    """The objective of a rule's two scores over a grid of thresholds, the rule's own among them.

    Args:
        n: thresholds a side, at equal steps in the share of rows that they let through.

    Raises:
        ValueError: no level with known and novel rows, a missing column.
    """
    super_score = table.score("super", rule.super.score)
    sub_score = table.score("sub", rule.sub.score)
    grids = _grid(super_score, rule.super.tau, n), _grid(sub_score, rule.sub.tau, n)
    # The first tau of each level that lets a row through; the super level looks at its own only.
    first = np.searchsorted(grids[0].taus, super_score), np.searchsorted(grids[1].taus, sub_score)
    looked_at = {"super": (first[0], np.zeros_like(first[1])), "sub": first}
    shape = len(grids[0].taus), len(grids[1].taus)
    parts = []
    for level in LEVELS:
        rows = table[level]
        if rows.judged:
            seen = _let_through(looked_at[level], rows.right, shape) / rows.known.sum()
            missed = _let_through(looked_at[level], ~rows.known, shape) / (~rows.known).sum()
            parts.append(harmonic_mean(seen, 1.0 - missed))
    if not parts:
        raise ValueError("a tau map needs a level with known and novel rows, but got none")
    return TauMap(*grids, np.mean(parts, axis=0))


def thinned_curve(table: ScoreTable, level: Level, score: Array) -> tuple[Array, Array, Array]:
    """Taus, seen and unseen of a level by itself, thinned."""
    curve = sweep(score, table[level].right, table[level].known)
    best = int(np.argmax(harmonic_mean(curve.seen, curve.unseen)))
    steps = np.linspace(0, len(curve.taus) - 1, MAX_CURVE_POINTS - 1).round().astype(np.int64)
    kept = np.union1d(steps, best)
    return curve.taus[kept], curve.seen[kept], curve.unseen[kept]


def _grid(score: Array, tau: float, n: int) -> Grid:
    """Thresholds at quantiles of a score, one that lets nothing through, and `tau`."""
    ordered = np.sort(score)
    lowest = np.nextafter(ordered[0], -np.inf)
    taus = np.concatenate([[tau, lowest], np.quantile(ordered, np.linspace(0.0, 1.0, n))])
    shares = np.searchsorted(ordered, taus, side="right") / len(ordered)
    # Of those that decide alike only the first stays: that is `tau` where it is one of them.
    shares, first = np.unique(shares, return_index=True)
    return Grid(taus[first], shares)


def _let_through(first: tuple[Ints, Ints], rows: Bools, shape: tuple[int, int]) -> Array:
    """How many of some rows each pair of taus lets through, [P, Q]; first: lowest taus that do."""
    inside = rows & (first[0] < shape[0]) & (first[1] < shape[1])
    cells = first[0][inside] * shape[1] + first[1][inside]
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    return counts.cumsum(axis=0).cumsum(axis=1).astype(np.float64)
