"""Score normalisation across folds: makes the scores of different networks comparable.

Each fold has a network of its own, whose scores have a location and spread of their own. Both are
measured on the fold's validation images, all of known classes. Three ways to compare:

- `raw`: scores as they are;
- `standardised`: (score - median) / standard deviation of the fold's val images;
- `rank`: the fraction of the fold's val images with a lower score.

A search uses `normalise_to_final`: the networks of the two all-known calibration folds know every
class, as the final network does. Once all other folds have the median and spread that these two
predict for it, a threshold chosen on them applies to the final network's scores as they are.

Shape legend: N rows of a score table (see `hierclf.rules.score_table`).
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from hierclf.hierarchy import LEVELS
from hierclf.rules.score_table import Array, ScoreTable

Normalisation = Literal["raw", "standardised", "rank"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)
DEPLOYED: Normalisation = "standardised"
_NEXT_STEP = 0.73
"""The step from 85 to 100 % of the images, as a part of that from 70 to 85 %, where scores follow a
power law of the number of images: 0.77 for its square root, 0.70 for the number itself."""
_RATIO = (0.5, 2.0)  # bounds of a change of spread; beyond them two networks have little in common


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


def normalise_to_final(
    table: ScoreTable, names: Sequence[str], reference: str, smaller: str
) -> ScoreTable:
    """Give the scores of all folds the median and spread that the final network's will have.

    The networks of both named folds know all classes and score the same val images; the smaller one
    was trained on fewer images. Training on more images changes the scores, and the final network
    trains on all: its scores are taken to differ from the reference's by `_NEXT_STEP` of what these
    differ from the smaller one's by, at most by one spread. Without this, known images and new
    sub-classes score too high in the folds, and new sub-classes are found less often than promised
    (results/README.md, "New classes").

    Args:
        table: N rows with `fold` and `split`.
        names: scores to normalise, at both levels.
        reference, smaller: names of the two folds.

    Returns:
        The rows of the other folds with the scores replaced, float64, numbered from 0; and the rows
        of the reference that are not val, a user's own novel images.

    Raises:
        ValueError: a missing column, a fold without val images, no fold of one of the names.
    """
    larger, less = (table.where((table.folds == fold) & table.val) for fold in (reference, smaller))
    for fold, rows in ((reference, larger), (smaller, less)):
        if not len(rows):
            raise ValueError(f"fold {fold} must have val images to normalise to, but has none")
    assert len(larger) == len(less), "the two folds validate on the same images"

    def to_final(values: Array, known: Array, column: str) -> Array:
        scores, before = (rows.column(column).astype(np.float64) for rows in (larger, less))
        own = _spread(scores)
        step = _NEXT_STEP * (scores - before).mean()
        median = np.median(scores) + np.clip(step, -own, own)
        ratio = 1.0 + _NEXT_STEP * (own / _spread(before) - 1.0)
        spread = own * np.clip(ratio, *_RATIO)
        return median + spread * _normalised(values, known, "standardised")

    mapped = _map_folds(table.where(table.folds != smaller), names, to_final)
    return without_calibration(mapped, reference, smaller)


def without_calibration(table: ScoreTable, reference: str, smaller: str) -> ScoreTable:
    """The rows that `normalise_to_final` keeps, in its order, with their scores as they are."""
    kept = table.where((table.folds != smaller) & ((table.folds != reference) | ~table.val))
    return ScoreTable(kept.frame.reset_index(drop=True))


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
