"""What a promise draws: which classes are met, the same draws for every threshold.

Shape legend: D draws, C classes of a kind, M new classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS
from hierclf.rules.evidence import FAR, Evidence
from hierclf.rules.new_class import PLAIN
from hierclf.rules.score_table import Array

DRAWS = 2000

ClassDraws = dict[int, NDArray[np.int64]]
"""For a number C of classes, int64 [D, M] in 0..C-1: the classes of each draw."""


class SuperDraws(NamedTuple):
    """Where new super-classes lie, in the terms of `NewClass.draw`.

    Attributes:
        chi: float64 [D], chi-squared. mean: float64 [D], standard normal. each: float64 [D, M],
            standard normal.
    """

    chi: Array
    mean: Array
    each: Array


def draw_classes(
    evidence: Evidence, kind: int, n_new: int | None, rng: np.random.Generator
) -> ClassDraws:
    """Draws of new classes of a kind, for the number of its classes at each level.

    A draw takes the C classes with replacement, and from these M with replacement: the classes at
    hand are a sample, and so are those to come.

    Args:
        evidence: what the classes are counted in.
        kind: KNOWN or NEAR.
        n_new: M; None takes C.
        rng: what is drawn from.
    """
    drawn = ClassDraws()
    # As many classes at both levels have the same draws; not all need be labelled at the super one.
    for level in LEVELS:
        rows = (evidence.weights(level) > 0.0) & evidence.rows(kind)
        n = len(np.unique(evidence.unit[rows]))
        if n and n not in drawn:
            first = rng.integers(n, size=(DRAWS, n))
            second = rng.integers(n, size=(DRAWS, n_new or n))
            drawn[n] = np.take_along_axis(first, second, axis=1)
    return drawn


def draw_super_classes(
    evidence: Evidence, n_new: int, rng: np.random.Generator
) -> SuperDraws | None:
    """Draws of M new super-classes; None where no super-class could be held out."""
    if not evidence.has(FAR):
        return None
    freedom = evidence.n_classes(FAR) + PLAIN - 1.0
    chi = rng.chisquare(freedom, DRAWS)
    return SuperDraws(chi, rng.standard_normal(DRAWS), rng.standard_normal((DRAWS, n_new)))
