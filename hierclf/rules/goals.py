"""What a threshold should serve: a goal turns seen and unseen accuracy into one value.

Every goal's value never falls when seen or unseen accuracy rises; the exact search over thresholds
in `exact.py` needs no more of a goal than that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierclf.hierarchy import LEVELS, Level
from hierclf.metrics.accuracy import harmonic_mean

Kind = Literal["balanced", "overall", "seen-at-least"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A share of rows is a quotient, which rounds: 0.95 of 20 rows may come out a little lower.
_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Goal:
    """What to maximise at each level; the whole objective is the mean over the judged levels.

    Attributes:
        kind: `balanced`, the harmonic mean of seen and unseen accuracy; `overall`, the accuracy
            where a share `novel_rate` of all images is novel; `seen-at-least`, unseen accuracy
            among the thresholds whose seen accuracy is at least `seen`.
        novel_rate: in (0, 1), for `overall` only.
        seen: in (0, 1], for `seen-at-least` only.
        super_novel_rate: in (0, 1), for `overall` only, the share of images of new super-classes;
            None takes `novel_rate` at both levels.

    Raises:
        ValueError: an unknown kind, a number that is missing, of another kind, or out of range.
    """

    kind: Kind
    novel_rate: float | None = None
    seen: float | None = None
    super_novel_rate: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"`goal` must be one of {', '.join(KINDS)}, but got {self.kind!r}")
        for name, owner in (("novel_rate", "overall"), ("seen", "seen-at-least")):
            value = getattr(self, name)
            if (value is not None) != (self.kind == owner):
                raise ValueError(
                    f"`{name}` must be given with the goal {owner!r} and with no other, "
                    f"but got {name}={value} with {self.kind!r}"
                )
        if self.super_novel_rate is not None and self.kind != "overall":
            raise ValueError(
                "`super_novel_rate` must be given with the goal 'overall' only, but got "
                f"super_novel_rate={self.super_novel_rate} with {self.kind!r}"
            )
        for name in ("novel_rate", "super_novel_rate"):
            rate = getattr(self, name)
            if rate is not None and not 0.0 < rate < 1.0:
                raise ValueError(f"`0 < {name} < 1` must hold, but got {name}={rate}")
        if self.seen is not None and not 0.0 < self.seen <= 1.0:
            raise ValueError(f"`0 < seen <= 1` must hold, but got seen={self.seen}")

    def at(self, level: Level) -> "Goal":
        """The goal of one level: `overall` at its own share of novel images."""
        if level == "super" and self.super_novel_rate is not None:
            return Goal("overall", novel_rate=self.super_novel_rate)
        return self

    def value(self, seen: ArrayLike, unseen: ArrayLike) -> NDArray[np.float64]:
        """How well accuracies serve the goal of a level; never falls when one of them rises.

        Args:
            seen, unseen: floats in [0, 1], of one shape.

        Returns:
            float64 of that shape, in [0, 1]. Where `seen-at-least` is not reached: seen - 2, so
            low that the other level's unseen accuracy can never make up for it in the mean.
        """
        s, u = np.asarray(seen, dtype=np.float64), np.asarray(unseen, dtype=np.float64)
        if self.novel_rate is not None:
            return np.asarray((1.0 - self.novel_rate) * s + self.novel_rate * u)
        if self.seen is not None:
            return np.where(s >= self.seen - _TOLERANCE, u, s - 2.0)
        return harmonic_mean(s, u)

    def check_reached(self, highest_seen: float, where: str) -> None:
        """ValueError if the highest seen accuracy that any threshold gives is not enough.

        Args:
            highest_seen: in [0, 1].
            where: what the accuracy is of, such as "the super level".
        """
        if self.seen is not None and highest_seen < self.seen - _TOLERANCE:
            raise ValueError(
                f"`seen` must be reached by some tau, but got seen={self.seen}, and at {where} the "
                f"highest seen accuracy is {highest_seen:.4f}"
            )


BALANCED = Goal("balanced")


def objective(accuracies: Mapping[str, float | None], goal: Goal = BALANCED) -> float:
    """The mean over the levels of a goal's values, in [0, 1]; below 0 where it is not reached.

    By default the mean of the harmonic means. A level without known or without novel rows is left
    out.

    Args:
        accuracies: as `six_accuracies` gives it.

    Raises:
        ValueError: no level has both.
    """
    sides = [
        (goal.at(level), accuracies[f"{level}_seen"], accuracies[f"{level}_unseen"])
        for level in LEVELS
    ]
    present = [
        float(own.value(seen, unseen))
        for own, seen, unseen in sides
        if seen is not None and unseen is not None
    ]
    if not present:
        raise ValueError("the objective needs a level with known and novel rows, but got none")
    return sum(present) / len(present)
