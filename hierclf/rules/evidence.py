"""The evidence of a score table about new classes: its rows by kind and by class.

Three kinds of images, by what the fold's network was trained on:

- KNOWN: the sub-class (validation images);
- NEAR: the super-class but not the sub-class, a new sub-class of a known super-class;
- FAR: not even the super-class.

Shape legend: N rows of a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import UNLABELLED, Level
from hierclf.rules.score_table import Array, Bools, Ints, ScoreTable

KNOWN, NEAR, FAR = 0, 1, 2
KINDS = (KNOWN, NEAR, FAR)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Rows of a score table by kind and class.

    Attributes:
        kind: int8 [N], KNOWN, NEAR or FAR. A row without a super-label is NEAR, and is evidence at
            the sub level only.
        unit: int64 [N], the class that the row is evidence of: its sub-class, or, of FAR rows, its
            super-class.
        weight: float64 [N], sums to 1 within each kind. KNOWN images weigh the same; of NEAR and
            FAR images every class weighs the same, since it is classes that are drawn anew.
        super_weight: the same at the super level, where rows without a super-label weigh nothing.
        super_right, sub_right: bool [N], whether the class is known and predicted.
    """

    kind: NDArray[np.int8]
    unit: Ints
    weight: Array
    super_weight: Array
    super_right: Bools
    sub_right: Bools

    @staticmethod
    def of(table: ScoreTable) -> Evidence:
        """The evidence that a table holds."""
        labelled = table.super.labels != UNLABELLED
        near = table.super.known | ~labelled
        kind = np.where(table.sub.known, KNOWN, np.where(near, NEAR, FAR)).astype(np.int8)
        unit = np.where(kind == FAR, table.super.labels, table.sub.labels)
        weight = _weights(kind, unit, np.ones(len(table), dtype=bool))
        super_weight = weight if labelled.all() else _weights(kind, unit, labelled)
        return Evidence(kind, unit, weight, super_weight, table.super.right, table.sub.right)

    def weights(self, level: Level) -> Array:
        """`super_weight` or `weight`, float64 [N]."""
        return self.super_weight if level == "super" else self.weight

    def rows(self, kind: int) -> Bools:
        """Which rows are of a kind, bool [N]."""
        return self.kind == kind

    def has(self, kind: int, level: Level = "sub") -> bool:
        """Whether there are rows of a kind that are evidence at a level."""
        return bool((self.weights(level)[self.kind == kind] > 0.0).any())

    def n_classes(self, kind: int) -> int:
        """How many classes the rows of a kind belong to."""
        return len(np.unique(self.unit[self.kind == kind]))


def _weights(kind: NDArray[np.int8], unit: Ints, counted: Bools) -> Array:
    """The weight of each row among those of its kind that are counted, float64 [N]."""
    weight = np.zeros(len(kind))
    for which in KINDS:
        rows = np.flatnonzero((kind == which) & counted)
        if not len(rows):
            continue
        _, index, count = np.unique(unit[rows], return_inverse=True, return_counts=True)
        each = 1.0 / len(rows) if which == KNOWN else 1.0 / (len(count) * count[index])
        weight[rows] = each
    return weight
