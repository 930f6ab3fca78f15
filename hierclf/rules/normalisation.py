"""Score normalisation across folds: makes the scores of different networks comparable.

Each fold has a network of its own, whose scores have a location and spread of their own. Both are
measured on the fold's validation images, all of known classes. Three ways to compare:

- `raw`: scores as they are;
- `standardised`: (score - median) / standard deviation of the fold's val images;
- `rank`: the fraction of the fold's val images with a lower score.

A search uses `normalise_to_fold`: the network of the all-known calibration fold knows every class,
as the final network does. Once all other folds have its median and spread, a threshold chosen on
them applies to the final network's scores as they are.

Shape legend: N rows of a score table (see `hierclf.rules.score_table`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from hierclf.hierarchy import LEVELS
from hierclf.rules.score_table import Array, ScoreTable

Normalisation = Literal["raw", "standardised", "rank"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)
DEPLOYED: Normalisation = "standardised"


def normalise_by_fold(table: ScoreTable, names: Sequence[str], how: Normalisation) -> ScoreTable:
    """Normalise the scores of each fold by its own validation images.

    Args:
        table: N rows with `fold` and `split`.
        names: scores to normalise, at both levels.
        how: `raw` returns the table itself. Beyond the highest val score, `rank` is 1 plus the
            standardised distance from it, so that the order is kept.

    Returns:
        The table with the scores replaced, float64.

    Raises:
        ValueError: an unknown `how`, a missing column, a fold without val images.
    """
    if how not in NORMALISATIONS:
        raise ValueError(f"`how` must be one of {', '.join(NORMALISATIONS)}, but got {how!r}")
    if how == "raw":
        return table
    return _map_folds(table, names, lambda values, known, column: _normalised(values, known, how))


def normalise_to_fold(table: ScoreTable, names: Sequence[str], fold: str) -> ScoreTable:
    """Give the scores of all other folds the median and spread of one fold.

    Args:
        table: N rows with `fold` and `split`.
        names: scores to normalise, at both levels.
        fold: name of the fold. Scores of the others become median + spread * (score - own median)
            / own spread; medians and standard deviations are those of val images.

    Returns:
        The rows of the other folds with the scores replaced, float64.

    Raises:
        ValueError: a missing column, a fold without val images, no fold of that name.
    """
    target = table.where((table.folds == fold) & table.val)
    if not len(target):
        raise ValueError(f"fold {fold} must have val images to normalise to, but has none")

    def to_target(values: Array, known: Array, column: str) -> Array:
        scores = target.column(column).astype(np.float64)
        return np.median(scores) + _spread(scores) * _normalised(values, known, "standardised")

    return _map_folds(table.where(table.folds != fold), names, to_target)


def _map_folds(
    table: ScoreTable, names: Sequence[str], function: Callable[[Array, Array, str], Array]
) -> ScoreTable:
    """Replace each fold's scores by function(scores, ascending scores of val images, column)."""
    folds, val = table.folds, table.val
    columns: dict[str, Array] = {}
    for column in [f"{level}_{name}" for level in LEVELS for name in names]:
        values = table.column(column).astype(np.float64)
        columns[column] = np.empty_like(values)
        for fold in np.unique(folds):
            rows = folds == fold
            if not (rows & val).any():
                raise ValueError(f"fold {fold} must have val images to normalise by, but has none")
            columns[column][rows] = function(values[rows], np.sort(values[rows & val]), column)
    return table.with_columns(**columns)


def _normalised(values: Array, known: Array, how: Normalisation) -> Array:
    """Normalise values by the ascending scores of known images."""
    if how == "standardised":
        return (values - np.median(known)) / _spread(known)
    rank = np.interp(values, known, np.linspace(0.0, 1.0, len(known)))
    return rank + np.maximum(values - known[-1], 0.0) / _spread(known)


def _spread(known: Array) -> float:
    return float(known.std()) or 1.0
