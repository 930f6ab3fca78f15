"""The score table: one row for each fold and image that the fold's network was not trained on.

Required columns, for LEVEL in `super` and `sub`:

- LEVEL_label (integer): the true class, as a model index of the whole hierarchy. A user's own novel
  classes are numbered on from its last class; super_label may be `UNLABELLED`;
- LEVEL_known (bool): whether the fold's network was trained on that class;
- LEVEL_pred (integer): the most probable known class.

Optional columns: `fold` (name of the fold), `split` (`val` for held-out images of known classes,
else `held_out`), `image`, LEVEL_prob, LEVEL_calibrated, LEVEL_temperature, and one LEVEL_NAME for
each novelty score NAME (float, higher = more novel).

Shape legend: N rows of a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hierclf.hierarchy import LEVELS, NOVEL, UNLABELLED, Level
from hierclf.rules.classes import Classes, Ints
from hierclf.scores.sums import sum_columns

Bools = NDArray[np.bool_]
Array = NDArray[np.float64]


class LevelRows(NamedTuple):
    """A score table's rows at one level.

    Attributes:
        labels: int64 [N], true classes.
        predictions: int64 [N], most probable known classes.
        known: bool [N], whether the fold's network knows the true class.
        right: bool [N], whether the true class is known and predicted.
    """

    labels: Ints
    predictions: Ints
    known: Bools
    right: Bools

    @property
    def judged(self) -> bool:
        """Whether there are known and novel rows, so that both kinds of accuracy are defined."""
        return bool(self.known.any() and not self.known.all())

    @property
    def targets(self) -> Ints:
        """The classes to answer, int64 [N]: `NOVEL` where the class is not known."""
        return np.where(self.known, self.labels, NOVEL)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """A checked score table; `table["super"]` is `table.super`.

    Attributes:
        frame: N rows with the columns above. Must not be changed in place.

    Raises:
        ValueError: a required column that is missing or has another type.
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        for level in LEVELS:
            for name, kind in (("label", np.integer), ("known", np.bool_), ("pred", np.integer)):
                dtype = self.column(f"{level}_{name}").dtype
                if not np.issubdtype(dtype, kind):
                    raise ValueError(
                        f"`{level}_{name}` of a score table must be "
                        f"{'bool' if kind is np.bool_ else 'integers'}, but got {dtype}"
                    )

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, level: Level) -> LevelRows:
        return {"super": self.super, "sub": self.sub}[level]

    @cached_property
    def super(self) -> LevelRows:
        """The super level."""
        return self._rows("super")

    @cached_property
    def sub(self) -> LevelRows:
        """The sub level."""
        return self._rows("sub")

    def _rows(self, level: Level) -> LevelRows:
        labels = self.column(f"{level}_label").astype(np.int64)
        predictions = self.column(f"{level}_pred").astype(np.int64)
        known = self.column(f"{level}_known").astype(np.bool_)
        return LevelRows(labels, predictions, known, known & (labels == predictions))

    @property
    def targets(self) -> Classes:
        """The classes to answer; see `LevelRows.targets`."""
        return Classes(self.super.targets, self.sub.targets)

    @property
    def predictions(self) -> Classes:
        """The most probable known classes."""
        return Classes(self.super.predictions, self.sub.predictions)

    @property
    def folds(self) -> np.ndarray:
        """The fold of each row, text [N]."""
        return self.column("fold")

    @property
    def val(self) -> Bools:
        """Which rows are validation images of known classes, bool [N]."""
        return self.column("split") == "val"

    def score(self, level: Level, text: str) -> Array:
        """A novelty score, or a weighted sum of scores, as a level's rule uses it.

        Args:
            level: the level whose rule it is.
            text: as in a `LevelRule`.

        Returns:
            float64 [N], higher = more novel.

        Raises:
            ValueError: a missing column, values that are not finite, what `score_terms` raises.
        """
        values = sum_columns(self.frame, level, text)
        if not np.isfinite(values).all():
            name = f"{level}_{text}"
            what = name if name in self.frame else f"{text} ({level} level)"
            raise ValueError(
                f"`{what}` must be finite, but got {(~np.isfinite(values)).sum()} bad rows"
            )
        return values

    def column(self, name: str) -> np.ndarray:
        """A column as an array [N].

        Raises:
            ValueError: no such column; the message lists those there are.
        """
        if name not in self.frame:
            there = ", ".join(map(str, self.frame)) or "no column"
            raise ValueError(f"the score table needs a column {name!r}, but got {there}")
        return self.frame[name].to_numpy()

    def labelled(self, level: Level) -> ScoreTable:
        """The rows whose class is labelled at a level; a user's novel images need not be."""
        labels = self[level].labels
        return self if (labels != UNLABELLED).all() else self.where(labels != UNLABELLED)

    def where(self, mask: ArrayLike) -> ScoreTable:
        """The rows where `mask`, bool [N], holds."""
        return ScoreTable(self.frame[np.asarray(mask, dtype=np.bool_)])

    def take(self, positions: ArrayLike) -> ScoreTable:
        """The rows at `positions`, integers in 0..N-1, in that order."""
        return ScoreTable(self.frame.iloc[np.asarray(positions, dtype=np.int64)])

    def with_columns(self, **columns: ArrayLike) -> ScoreTable:
        """A copy with columns [N] added or replaced."""
        arrays = {name: np.asarray(values) for name, values in columns.items()}
        return ScoreTable(self.frame.assign(**arrays))

    @staticmethod
    def concatenate(tables: Iterable[ScoreTable]) -> ScoreTable:
        """The rows of several tables, one after another."""
        return ScoreTable(pd.concat([table.frame for table in tables], ignore_index=True))
