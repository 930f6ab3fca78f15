"""Where a model's thresholds can be moved to, and what to expect there."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hierclf.bundle.score_table_file import load_score_table
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS, Level
from hierclf.model import Model
from hierclf.rules.figures import Promise
from hierclf.rules.movable import Movable, movable_rule
from hierclf.rules.rule import Rule

_STEPS = 400
_TAIL = 0.005
_DIGITS = 8


class Range(NamedTuple):
    """A slider, in the score's unit.

    Attributes:
        low, high: its ends.
        start: the place nearest to the deployed threshold, for which it stands.
        step: from one place to the next; all are multiples of it.
    """

    low: float
    high: float
    start: float
    step: float


@dataclass(frozen=True, eq=False)
class Moves:
    """A model whose thresholds move.

    Attributes:
        model: with the deployed thresholds.
        directory: of the model.
        ranges: a slider for each level.
        movable: what figures come from; None where nothing says what to expect.
        missing: why it is None.
    """

    model: Model
    directory: Path
    ranges: Mapping[Level, Range]
    movable: Movable | None
    missing: str = ""

    @property
    def deployed(self) -> Rule:
        """The thresholds in the model directory."""
        assert self.model.thresholds is not None
        return self.model.thresholds

    def to(self, super_tau: float, sub_tau: float) -> Model:
        """The model with thresholds as the sliders stand.

        Raises:
            ValueError: a threshold that is not finite.
        """
        taus = {"super": float(super_tau), "sub": float(sub_tau)}
        for level in LEVELS:
            own = self.ranges[level]
            if abs(taus[level] - own.start) < own.step / 1000:  # a browser rounds, too
                taus[level] = self.deployed[level].tau
        return self.model.with_thresholds(super_tau=taus["super"], sub_tau=taus["sub"])

    def promise(self, model: Model) -> Promise | None:
        """What to expect of a moved model; None where nothing says."""
        if self.movable is None:
            return None
        assert model.thresholds is not None
        return self.movable.promise(model.thresholds)

    def command(self, model: Model) -> str:
        """What to type to deploy a moved model's thresholds."""
        assert model.thresholds is not None
        taus = (f"--{x}-tau={model.thresholds[x].tau:.{_DIGITS}g}" for x in LEVELS)
        return shlex.join(["hierclf", "thresholds", str(self.directory), *taus])


def read_moves(model: Model, directory: Path) -> Moves:
    """Read a model's held-out scores, and cross-fit what to expect: some seconds.

    Args:
        model: with thresholds.
        directory: that it was loaded from.

    Raises:
        ValueError: a model without thresholds.
    """
    rule = model.thresholds
    if rule is None:
        raise ValueError("the model directory must hold thresholds.json, but has none")
    plain = {level: _range(rule[level].tau, np.array([-1.0, 1.0])) for level in LEVELS}
    try:
        table, parts, report = load_score_table(directory)
        ranges = {x: _range(rule[x].tau, table.score(x, rule[x].score)) for x in LEVELS}
        movable = movable_rule(table, parts, report, model.bundle.scores)
    except ValueError as error:
        return Moves(model, directory, plain, None, one_line(error))
    if not movable.has_scores_of(rule):
        what = "these thresholds are of other scores than `hierclf thresholds` chooses"
        return Moves(model, directory, ranges, None, what)
    return Moves(model, directory, ranges, movable)


def _range(tau: float, scores: np.ndarray) -> Range:
    """Nearly all of the scores and the threshold, in steps of a power of ten."""
    ends = np.quantile(scores, [_TAIL, 1.0 - _TAIL])
    low, high = min(float(ends[0]), tau), max(float(ends[1]), tau)
    digits = math.ceil(-math.log10((high - low) / _STEPS)) if high > low else 2
    step = 10.0**-digits

    def place(number: int) -> float:
        return round(number * step, max(digits, 0))

    first, last = math.floor(low / step) - 1, math.ceil(high / step) + 1
    return Range(place(first), place(last), place(round(tau / step)), step)
