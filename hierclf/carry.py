"""How a threshold carries from the network that it was chosen on to another one.

Raw, a threshold is compared with the other network's scores as they are. Standardised or by rank,
every network's scores are first put in terms of its own known validation images.

Shape legend: N rows of a score table (see `hierclf.thresholds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from hierclf.thresholds import column

Carry = Literal["raw", "standardised", "rank"]
CARRIES: tuple[Carry, ...] = get_args(Carry)


def carried(table: pd.DataFrame, names: Sequence[str], how: Carry) -> pd.DataFrame:
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
    result = table.copy()
    fold, val = column(table, "fold"), column(table, "split") == "val"
    for key in [f"{level}_{name}" for level in ("super", "sub") for name in names]:
        values = column(table, key).astype(np.float64)
        moved = np.empty_like(values)
        for name in np.unique(fold):
            rows = fold == name
            if not (rows & val).any():
                raise ValueError(f"fold {name} must have val images to carry by, but has none")
            moved[rows] = _in_terms_of(values[rows], np.sort(values[rows & val]), how)
        result[key] = moved
    return result


def _in_terms_of(values: np.ndarray, known: np.ndarray, how: Carry) -> np.ndarray:
    """Values as seen from ascending scores of known images."""
    spread = known.std() or 1.0
    if how == "standardised":
        return (values - np.median(known)) / spread
    share = np.interp(values, known, np.linspace(0.0, 1.0, len(known)))
    return share + np.maximum(values - known[-1], 0.0) / spread
