"""Score fusion: one weighted sum of all scores for each level, with weights close to equal.

With three hidden super-classes, a logistic regression learns what those three have in common. So
the weights are shrunk towards equal ones, the more, the fewer classes could be hidden.

Shape legend: N rows of a score table, M scores.
"""

from collections.abc import Sequence

import numpy as np

from hierclf.hierarchy import Level
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.expected import Units
from hierclf.rules.score_table import Array, Bools, ScoreTable
from hierclf.scores.sums import format_score

_RIDGE = 1e-3
# The mass of known, near and far rows in the fit; half of each level's is known there.
_MASS = {"super": {KNOWN: 0.25, NEAR: 0.25, FAR: 0.5}, "sub": {KNOWN: 0.5, NEAR: 0.25, FAR: 0.25}}
_SMALLEST = 0.01


def fused_score(table: ScoreTable, level: Level, names: Sequence[str]) -> str:
    """The fused score of a level, as text (see `hierclf.scores.sums`).

    A logistic regression of "novel at this level" on the scores in units of their spread over known
    rows, weights >= 0, with the penalty |w - mean(w)|^2 / K, where K is the number of held-out
    classes that tell known from novel at this level. Each kind of row (known, near, far) has a
    fixed mass, and each class of a kind the same.

    Args:
        table: a score table with LEVEL_NAME for each of `names`.
        names: M >= 1 scores.

    Returns:
        A weighted sum, in the scores' own units; scores that carry less than 1 % of all weight are
        left out. With one name, or without held-out classes at the level, equal weights.

    Raises:
        ValueError: no names, a missing column, scores that are not finite.
    """
    if not names:
        raise ValueError("a fused score needs names, but got none")
    evidence = Evidence.of(table)
    known = evidence.rows(KNOWN)
    if not known.any():
        raise ValueError("a rule needs rows of known sub-classes, but got none")
    columns = [table.score(level, name) for name in names]
    units = [Units.of(column, known) for column in columns]
    values = np.stack([unit.apply(c) for unit, c in zip(units, columns, strict=True)], axis=1)
    weights = _weights(values, evidence, level)
    kept = weights >= _SMALLEST * weights.sum()
    terms = [
        (float(weight / unit.spread), name)
        for weight, unit, name, keep in zip(weights, units, names, kept, strict=True)
        if keep
    ]
    return terms[0][1] if len(terms) == 1 else format_score(terms)


def _weights(values: Array, evidence: Evidence, level: Level) -> Array:
    """Weights [M] >= 0, of sum 1, of values [N, M]."""
    n_scores = values.shape[1]
    equal = np.full(n_scores, 1.0 / n_scores)
    novel = (FAR,) if level == "super" else (NEAR, FAR)
    n_classes = sum(evidence.n_classes(kind) for kind in novel)
    if n_scores == 1 or not n_classes:
        return equal
    mass = _MASS[level]
    weight = sum(mass[kind] * evidence.weights(level) * evidence.rows(kind) for kind in mass)
    found = _shrunk_logistic(
        values, np.isin(evidence.kind, novel), np.asarray(weight), penalty=1.0 / n_classes
    )
    total = found.sum()
    return found / total if total > 0.0 else equal


def _shrunk_logistic(values: Array, novel: Bools, weight: Array, *, penalty: float) -> Array:
    """Weights [M] >= 0 of a weighted logistic regression, pulled towards their own mean."""
    # Imported here: prediction does not fit.
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    sign = np.where(novel, 1.0, -1.0)

    def loss(p: Array) -> tuple[float, Array]:
        weights = p[:-1]
        margin = sign * (values @ weights + p[-1])
        slope = -sign * weight / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        apart = weights - weights.mean()
        cost = weight @ np.logaddexp(0.0, -margin)
        cost += penalty * (apart @ apart) + _RIDGE * (weights @ weights)
        gradient = values.T @ slope + 2.0 * penalty * apart + 2.0 * _RIDGE * weights
        return float(cost), np.append(gradient, slope.sum())

    n_terms = values.shape[1]
    start = np.append(np.full(n_terms, 1.0 / n_terms), 0.0)
    bounds = [(0.0, None)] * n_terms + [(None, None)]
    # A few columns: BLAS threads that wait for each other take forty times as long as one alone.
    with threadpool_limits(1):
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
