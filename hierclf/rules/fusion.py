"""Weighted sums of novelty scores, fitted: what several scores know together, as one score.

Shape legend: N rows of a score table, M terms of a sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hierclf.hierarchy import LEVELS, Level
from hierclf.rules.exact import BestRule, best_rule
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.score_table import (
    Array,
    Bools,
    ScoreTable,
)
from hierclf.rules.trade_off import sweep
from hierclf.scores.sums import format_score, score_terms

# Beyond four, terms bought less than 0.1 points on held-out classes, and each one costs prediction.
MAX_TERMS = 4
MAX_SINGLE = 3
_PENALTY = 1e-3
# A score far out says "novel" whatever the others say; farther out it would only bend the fit.
_FAR = 10.0


def fit_sum(
    table: ScoreTable, level: Level, names: Sequence[str], *, max_terms: int = MAX_TERMS
) -> str:
    """The weighted sum of scores that parts known from novel rows best, as a score's text.

    A logistic regression of "novel" on the scores in units of their spread over known rows, with
    weights >= 0 (every score is higher where more novel, and a sum that subtracts one has learnt
    the novel classes at hand) and a small quadratic penalty; known and novel rows weigh one half
    each. The largest `max_terms` weights are kept and fitted again.

    Args:
        table: a score table with known and novel rows at `level`.
        names: candidates, `NAME` of the level itself, or `super.NAME` and `sub.NAME`.
        max_terms: > 0.

    Returns:
        The sum, with weights in the scores' own units; the first name if no score helps.

    Raises:
        ValueError: no names, a missing column, no known or no novel rows.
    """
    if not names or max_terms < 1:
        raise ValueError(
            f"a sum needs names and max_terms >= 1, but got {list(names)}, max_terms={max_terms}"
        )
    known = table[level].known
    if known.all() or not known.any():
        raise ValueError(f"a sum needs known and novel rows at the {level} level")
    values = np.stack([table.score(level, name) for name in names], axis=1)
    spread = values[known].std(axis=0)
    usable = np.flatnonzero(spread > 0.0)
    if not len(usable):
        return names[0]
    centred = (values - np.median(values[known], axis=0))[:, usable] / spread[usable]
    centred = np.clip(centred, -_FAR, _FAR)
    weights = _nonnegative_logistic(centred, known)
    kept = np.argsort(-weights, kind="stable")[:max_terms]
    weights = _nonnegative_logistic(centred[:, kept], known)
    terms = [
        (float(weight / spread[usable[i]]), names[usable[i]])
        for i, weight in zip(kept, weights, strict=True)
        if weight > 1e-3 * weights.max()
    ]
    return format_score(terms) if weights.max() > 0.0 else names[0]


def candidates(
    table: ScoreTable, names: Sequence[str], *, goal: Goal = BALANCED
) -> dict[Level, list[str]]:
    """What each head may use: its best single scores, and a fitted sum of all scores.

    The sum may look at the other head's scores, too: a novel super-class shows in the sub-class
    logits, and a novel sub-class in the distance from its super-class.

    Args:
        table: a score table. names: scores; the table has `super_NAME` and `sub_NAME` for each.

    Returns:
        Scores by level; at a level without known or novel rows the first name alone.
    """
    found = _shortlists(table, names, goal)
    for level, other in zip(LEVELS, reversed(LEVELS), strict=True):
        if table[level].judged:
            both = _distinct(table, level, [*names, *(f"{other}.{name}" for name in names)])
            found[level] = list(dict.fromkeys([*found[level], fit_sum(table, level, both)]))
    return found


def best_combination(table: ScoreTable, names: Sequence[str], *, goal: Goal = BALANCED) -> BestRule:
    """The best rule over single scores and a fitted sum for each head; see `candidates`."""
    return best_rule(table, candidates(table, names, goal=goal), goal)


def best_singles(table: ScoreTable, names: Sequence[str], *, goal: Goal = BALANCED) -> BestRule:
    """The best rule with a single score for each head, out of the most promising ones."""
    return best_rule(table, _shortlists(table, names, goal), goal)


def _shortlists(table: ScoreTable, names: Sequence[str], goal: Goal) -> dict[Level, list[str]]:
    """The `MAX_SINGLE` best scores of each level by their own trade-off."""
    found: dict[Level, list[str]] = {}
    for level in LEVELS:
        rows = table[level]
        if not rows.judged:
            found[level] = list(names[:1])
            continue
        value = {}
        for name in names:
            curve = sweep(table.score(level, name), rows.right, rows.known)
            value[name] = goal.value(curve.seen, curve.unseen).max()
        found[level] = sorted(value, key=lambda name: -value[name])[:MAX_SINGLE]
    return found


def _distinct(table: ScoreTable, level: Level, names: Sequence[str]) -> list[str]:
    """Names whose columns differ: kNN, say, is one column for both levels."""
    kept: dict[bytes, str] = {}
    for name in names:
        ((_, own, score),) = score_terms(name, level)
        kept.setdefault(table.column(f"{own}_{score}").tobytes(), name)
    return list(kept.values())


def _nonnegative_logistic(values: Array, known: Bools) -> Array:
    """Weights [M] >= 0 of a logistic regression of `not known` on values [N, M]."""
    # Imported here: prediction does not fit.
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    sign = np.where(known, -1.0, 1.0)
    share = np.where(known, 0.5 / known.sum(), 0.5 / (~known).sum())

    def loss(p: Array) -> tuple[float, Array]:
        margin = sign * (values @ p[:-1] + p[-1])
        pull = -sign * share / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        value = share @ np.logaddexp(0.0, -margin) + _PENALTY * (p[:-1] ** 2).sum()
        return float(value), np.append(values.T @ pull + 2.0 * _PENALTY * p[:-1], pull.sum())

    n_terms = values.shape[1]
    start = np.append(np.full(n_terms, 1.0 / n_terms), 0.0)
    bounds = [(0.0, None)] * n_terms + [(None, None)]
    # A few columns: BLAS threads that wait for each other take forty times as long as one alone.
    with threadpool_limits(1):
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
