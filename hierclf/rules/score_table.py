"""The score table: a row for each fold and image that the fold's network never trained on.

Columns: `fold`, the true `super_label` and `sub_label` (model indices), `super_known` and
`sub_known` (whether the fold's model was trained on that class), `super_pred` and `sub_pred` (most
probable known class; a sub-class of the predicted super-class), and scores `super_NAME`,
`sub_NAME`, higher = more novel.

Shape legend: N rows of a table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS, NOVEL, Level
from hierclf.scores.sums import find_column, sum_columns

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Array = NDArray[np.float64]


class LevelRows(NamedTuple):
    """What a table's rows are at one level: known, bool [N], and right, bool [N].

    A row is right if its class is known and the most probable known class is the true one.
    """

    known: Bools
    right: Bools

    @property
    def judged(self) -> bool:
        """Whether the level has known and novel rows, so that balance means something."""
        return bool(self.known.any() and not self.known.all())


def level_rows(table: pd.DataFrame, level: Level) -> LevelRows:
    """Which rows of a score table are known, and right, at a level (`super` or `sub`)."""
    known = column(table, f"{level}_known").astype(bool)
    pred, label = column(table, f"{level}_pred"), column(table, f"{level}_label")
    return LevelRows(known, known & (pred == label))


def score_values(table: pd.DataFrame, level: Level, name: str) -> Array:
    """The values of a score, or of a weighted sum, that a level uses.

    Args:
        name: as in a `Rule`.

    Returns:
        float64 [N].

    Raises:
        ValueError: a column that is missing, values that are not finite, what `score_terms` raises.
    """
    values = sum_columns(table, level, name)
    if not np.isfinite(values).all():
        what = f"{level}_{name}" if f"{level}_{name}" in table else f"{name} ({level} level)"
        raise ValueError(
            f"`{what}` must be finite, but got {(~np.isfinite(values)).sum()} bad rows"
        )
    return values


def true_labels(table: pd.DataFrame) -> tuple[Ints, Ints]:
    """The right answers, int64 [N] each: `NOVEL` where the fold's model did not know the class."""
    labels = (
        np.where(column(table, f"{level}_known"), column(table, f"{level}_label"), NOVEL)
        for level in LEVELS
    )
    true_super, true_sub = (array.astype(np.int64) for array in labels)
    return true_super, true_sub


def column(table: pd.DataFrame, name: str) -> np.ndarray:
    """A score table's column as an array; ValueError that names what there is if it is missing."""
    return np.asarray(find_column(table, name))
