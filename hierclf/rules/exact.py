"""The exact best rule of a score table: both scores and both thresholds, chosen jointly.

The search by trials in `search` is measured against this. Thresholds are looked at by rank: a level
and score have T candidate thresholds (*cuts*), and every row is known by its *first* cut, the
lowest that lets it through as known.

Shape legend: N rows of a table, T cuts of a score (super and sub: Ts, Tb), P points among the Ts.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.goals import BALANCED, Goal, objective
from hierclf.rules.rule import LevelRule, Rule, evaluate_rule
from hierclf.rules.score_table import (
    Array,
    Bools,
    Ints,
    LevelRows,
    ScoreTable,
)
from hierclf.rules.trade_off import thresholds_between

# Super cuts that one step of the search looks at, within one interval of them.
_POINTS = 33
_ROUNDING = 1e-12


class BestRule(NamedTuple):
    """A rule and its `objective`, for the goal, on the table that chose it."""

    rule: Rule
    value: float


# Names or weighted sums: the same for both levels, or for each of `super` and `sub` its own.
Scores = Sequence[str] | Mapping[Level, Sequence[str]]


def best_rule(table: ScoreTable, scores: Scores, goal: Goal = BALANCED) -> BestRule:
    """The rule with the highest `objective` on a table, over every pair of scores and of taus.

    Exact: no pair of real taus does better (beyond rounding, 1e-12). Both levels are optimised
    jointly, since a novel super-class makes the sub-class novel. Only thresholds just above a row
    that gains by being let through and just below one that loses can be needed; those are tried by
    best-first branch and bound over super_tau, each with all of sub_tau at once. The bound of an
    interval of super_tau counts the right rows let through at its upper end and the novel rows let
    through at its lower end; no more can be had there, since a goal's value never falls when seen
    or unseen accuracy rises. Deterministic; which of several equally good rules is returned is
    not promised.

    A level without known or novel rows is left out of the objective and never says novel.

    Args:
        table: a score table (see `hierclf.rules.score_table`).
        scores: names or weighted sums (see `score_sum`), for both levels or by level.
        goal: what to maximise, as the mean over the levels.

    Raises:
        ValueError: no scores, a missing column, no level with both known and novel rows, a goal
            that no tau reaches.
    """
    choice = scores_by_level(scores)
    rows = {level: table[level] for level in LEVELS}
    if not any(level.judged for level in rows.values()):
        raise ValueError("a rule needs a level with known and novel rows, but got none")
    _check_reached(rows, goal)
    gain, loss = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
    cuts: dict[tuple[Level, str], _Cuts] = {}
    # The sub level first: super_tau decides at both levels, so it adds its rows to those of sub.
    for level in reversed(LEVELS):
        if rows[level].judged:
            gain, loss = gain | rows[level].right, loss | ~rows[level].known
        for name in choice[level]:
            values = table.score(level, name)
            cuts[level, name] = _cuts(values, gain, loss, judged=rows[level].judged)
    names = list(product(choice["super"], choice["sub"]))
    pairs = [_pair(cuts["super", a], cuts["sub", b], rows, goal) for a, b in names]
    i, super_cut, sub_cut = _branch_and_bound(pairs)
    super_score, sub_score = names[i]
    rule = Rule(
        LevelRule(super_score, float(cuts["super", super_score].taus[super_cut])),
        LevelRule(sub_score, float(cuts["sub", sub_score].taus[sub_cut])),
    )
    return BestRule(rule, objective(evaluate_rule(table, rule), goal))


def scores_by_level(scores: Scores) -> dict[Level, list[str]]:
    """The scores that each level chooses among; ValueError if a level has none."""
    if isinstance(scores, Mapping):
        choice = {level: list(scores.get(level, ())) for level in LEVELS}
    else:
        choice = {level: list(scores) for level in LEVELS}
    if not all(choice.values()):
        raise ValueError(f"`scores` must name at least one score a level, but got {choice}")
    return choice


def _check_reached(rows: Mapping[Level, LevelRows], goal: Goal) -> None:
    # Both thresholds beyond all scores let every row through: no rule sees more, at either level.
    for level, own in rows.items():
        if own.judged:
            goal.check_reached(own.right.sum() / own.known.sum(), f"the {level} level")


class _Cuts(NamedTuple):
    """Candidate thresholds of one level and score: taus [T] ascending; first, int64 [N].

    first[n] is the lowest cut that lets row n through (score <= tau), T if none does.
    """

    taus: Array
    first: Ints


@dataclass(frozen=True)
class _Pair:
    """One pair of scores, ready to count.

    Attributes:
        super_part: float64 [Ts], what the super level adds to the objective at each super cut.
        sub_share: what the sub level's value is multiplied by: 1, 0.5, or 0 if left out.
        right, novel: int64 [2, *], the first super and sub cut of rows right and novel at sub.
        n_known: known rows at sub level.
        n_sub_cuts: Tb.
    """

    super_part: Array
    sub_share: float
    right: Ints
    novel: Ints
    n_known: int
    n_sub_cuts: int
    goal: Goal

    def values(self, right: Array, novel: Array) -> Array:
        """The sub level's part of the objective from counts let through, both [P, Tb]."""
        if self.sub_share == 0.0:
            return np.zeros_like(right)
        seen, unseen = right / self.n_known, 1.0 - novel / self.novel.shape[1]
        return self.sub_share * self.goal.value(seen, unseen)


def _cuts(score: Array, gain: Bools, loss: Bools, *, judged: bool) -> _Cuts:
    """The thresholds that can be best if rows of `gain` should get through and `loss` should not.

    Raising a threshold past rows without loss, and lowering it past rows without gain, never
    hurts; what is left are gaps above a gain and below a loss, and the two ends.
    """
    used = (gain | loss) if judged else np.ones(len(score), dtype=bool)
    values, group = np.unique(score[used], return_inverse=True)
    gains = np.bincount(group, weights=gain[used]) > 0
    losses = np.bincount(group, weights=loss[used]) > 0
    taus = thresholds_between(values)
    kept = np.concatenate([[judged], gains[:-1] & losses[1:] & judged, [True]])
    taus = taus[kept]
    return _Cuts(taus, np.searchsorted(taus, score))


def _pair(super_cuts: _Cuts, sub_cuts: _Cuts, rows: Mapping[Level, LevelRows], goal: Goal) -> _Pair:
    super_rows, sub_rows = rows["super"], rows["sub"]
    n_cuts = len(super_cuts.taus)
    share = 1.0 / (super_rows.judged + sub_rows.judged)
    super_part = np.zeros(n_cuts)
    if super_rows.judged:
        right = _let_through(super_cuts.first[super_rows.right], n_cuts)
        novel = _let_through(super_cuts.first[~super_rows.known], n_cuts)
        seen = right / super_rows.known.sum()
        super_part = share * goal.value(seen, 1.0 - novel / (~super_rows.known).sum())
    first = np.stack([super_cuts.first, sub_cuts.first])
    return _Pair(
        super_part=super_part,
        sub_share=share if sub_rows.judged else 0.0,
        right=first[:, sub_rows.right],
        novel=first[:, ~sub_rows.known],
        n_known=int(sub_rows.known.sum()),
        n_sub_cuts=len(sub_cuts.taus),
        goal=goal,
    )


def _let_through(first: Ints, n_cuts: int) -> Ints:
    """How many rows each cut lets through, [T]."""
    return np.cumsum(np.bincount(first, minlength=n_cuts)[:n_cuts])


def _let_through_both(first: Ints, points: Ints, n_sub_cuts: int) -> Array:
    """How many rows each of some super cuts and every sub cut let through together, [P, Tb]."""
    # A sub cut beyond the last lets nothing more through, nor does a super cut beyond the points.
    cell = np.searchsorted(points, first[0]) * (n_sub_cuts + 1) + first[1]
    shape = (len(points) + 1, n_sub_cuts + 1)
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)[:-1, :-1]
    return counts.cumsum(axis=0).cumsum(axis=1).astype(np.float64)


def _branch_and_bound(pairs: Sequence[_Pair]) -> tuple[int, int, int]:
    """The best (pair, super cut, sub cut); intervals of super cuts, the most promising first."""
    best, answer = -np.inf, (0, 0, 0)
    heap = [(-np.inf, i, 0, len(pair.super_part) - 1) for i, pair in enumerate(pairs)]
    heapq.heapify(heap)
    while heap:
        bound, i, low, high = heapq.heappop(heap)
        if -bound <= best + _ROUNDING:
            break
        pair = pairs[i]
        points = np.unique(np.linspace(low, high, _POINTS).astype(np.int64))
        right = _let_through_both(pair.right, points, pair.n_sub_cuts)
        novel = _let_through_both(pair.novel, points, pair.n_sub_cuts)
        sub_part = pair.values(right, novel)
        value = pair.super_part[points] + sub_part.max(axis=1)
        p = int(np.argmax(value))
        if value[p] > best:
            best, answer = float(value[p]), (i, int(points[p]), int(np.argmax(sub_part[p])))
        sub_bound = pair.values(right[1:], novel[:-1]).max(axis=1)
        for j, (start, stop) in enumerate(pairwise(points.tolist())):
            if stop - start > 1:
                inside = pair.super_part[start + 1 : stop].max() + sub_bound[j]
                if inside > best + _ROUNDING:
                    heapq.heappush(heap, (-float(inside), i, start, stop))
    return answer
