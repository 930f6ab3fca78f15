"""How a threshold carries from the network that it was chosen on to another one.

Raw, a threshold is compared with the other network's scores as they are. Standardised or by rank,
every network's scores are first put in terms of its own known validation images.

Standardised is what is deployed. The network of the reference fold knows all classes, as the final
one does: with the scores of all other networks moved to its median and spread, a threshold that is
chosen on them holds for the final network's scores as they are.

Shape legend: N rows of a score table (see `hierclf.rules.score_table`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from hierclf.hierarchy import LEVELS
from hierclf.rules.score_table import Array, ScoreTable

Carry = Literal["raw", "standardised", "rank"]
CARRIES: tuple[Carry, ...] = get_args(Carry)
DEPLOYED: Carry = "standardised"


def carried(table: ScoreTable, names: Sequence[str], how: Carry) -> ScoreTable:
    """The table with scores as one carry compares them, fold by fold.

    Args:
        table: a score table with `fold` and `split`; names: its scores.
        how: `raw` changes nothing; `standardised` gives (score - median) / standard deviation over
            the fold's val images; `rank` the share of these that score lower, in [0, 1], and
            beyond the highest 1 plus the standardised distance from it, so that order is kept.

    Raises:
        ValueError: another carry, a missing column, a fold without val images.
    """
    if how not in CARRIES:
        raise ValueError(f"`how` must be one of {', '.join(CARRIES)}, but got {how!r}")
    if how == "raw":
        return table
    return _moved(table, names, lambda values, known, key: _in_terms_of(values, known, how))


def carried_to(table: ScoreTable, names: Sequence[str], reference: str) -> ScoreTable:
    """The table as one of its folds' networks would have scored it, without that fold's rows.

    Args:
        table: a score table with `fold` and `split`; names: its scores.
        reference: name of the fold. Every other fold's scores become median + spread * (score -
            own median) / own spread, medians and standard deviations over val images.

    Raises:
        ValueError: a missing column, a fold without val images, no fold of that name.
    """
    own = table.where((table.folds == reference) & table.val)
    if not len(own):
        raise ValueError(f"fold {reference} must have val images to carry to, but has none")

    def to_own(values: Array, known: Array, key: str) -> Array:
        target = own.column(key).astype(np.float64)
        return np.median(target) + _spread(target) * _in_terms_of(values, known, "standardised")

    others = table.where(table.folds != reference)
    return _moved(others, names, to_own)


def _moved(
    table: ScoreTable, names: Sequence[str], move: Callable[[Array, Array, str], Array]
) -> ScoreTable:
    """A copy, each fold's values of a score moved: (values, ascending values of val, column)."""
    fold, val = table.folds, table.val
    columns: dict[str, Array] = {}
    for key in [f"{level}_{name}" for level in LEVELS for name in names]:
        values = table.column(key).astype(np.float64)
        moved = np.empty_like(values)
        for name in np.unique(fold):
            rows = fold == name
            if not (rows & val).any():
                raise ValueError(f"fold {name} must have val images to carry by, but has none")
            moved[rows] = move(values[rows], np.sort(values[rows & val]), key)
        columns[key] = moved
    return table.with_columns(**columns)


def _in_terms_of(values: Array, known: Array, how: Carry) -> Array:
    """Values as seen from ascending scores of known images."""
    if how == "standardised":
        return (values - np.median(known)) / _spread(known)
    share = np.interp(values, known, np.linspace(0.0, 1.0, len(known)))
    return share + np.maximum(values - known[-1], 0.0) / _spread(known)


def _spread(known: Array) -> float:
    return float(known.std()) or 1.0
