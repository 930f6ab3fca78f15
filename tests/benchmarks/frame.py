"""What a figure is: two things timed in turn, the ratio of their medians, and its spread."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

ROUNDS = 5


class Rounds(NamedTuple):
    """Measurements of one figure.

    Attributes:
        ours: one value a round, in the figure's unit.
        theirs: as many, measured in turn with ours; empty where the aim is an absolute one.
        note: what a reader of the table must know about this run, if anything.
    """

    ours: list[float]
    theirs: list[float]
    note: str = ""


class Spec(NamedTuple):
    """A figure as it is registered.

    Attributes:
        measure: device -> Rounds. It raises Skip where it cannot be measured here.
        unit: of both values.
        more_is_better: whether a larger value is the better one, as of images/s.
        ours, theirs: what is timed, in a few words.
        aim: what should be reached, in words.
    """

    name: str
    measure: Callable[[torch.device], Rounds]
    unit: str
    more_is_better: bool
    ours: str
    theirs: str
    aim: str


class Skip(Exception):  # noqa: N818  # not an error: this machine lacks something
    """Why a figure cannot be measured here."""


FIGURES: dict[str, Spec] = {}


def figure(
    name: str, *, unit: str, ours: str, theirs: str, aim: str, more_is_better: bool = False
) -> Callable[[Callable[[torch.device], Rounds]], Callable[[torch.device], Rounds]]:
    """Register the decorated function as a figure."""

    def register(measure: Callable[[torch.device], Rounds]) -> Callable[[torch.device], Rounds]:
        assert name not in FIGURES, name
        FIGURES[name] = Spec(name, measure, unit, more_is_better, ours, theirs, aim)
        return measure

    return register


def in_turn(
    ours: Callable[[], float], theirs: Callable[[], float], *, rounds: int = ROUNDS
) -> Rounds:
    """Measure A B A B ..., after one uncounted round of both to warm up.

    In turn, so that what else the machine does meets both alike.
    """
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return Rounds([a for a, _ in pairs], [b for _, b in pairs])


def seconds(function: Callable[[], object], device: torch.device | None = None) -> float:
    """Wall-clock seconds of one call, work queued on a GPU included."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch use n CPU threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def summarise(spec: Spec, rounds: Rounds, command: str) -> dict[str, object]:
    """The figure as an object of benchmarks.json.

    ours and theirs are medians. ratio says how many times as good ours is: above 1 it is faster,
    or takes less, than theirs. low and high are the least and the greatest ratio of one round (of
    ours itself, where there is no theirs), n the number of rounds.
    """
    ours = statistics.median(rounds.ours)
    theirs = ratio = None
    spread = rounds.ours
    if rounds.theirs:
        theirs = statistics.median(rounds.theirs)
        spread = [_ratio(spec, *pair) for pair in zip(rounds.ours, rounds.theirs, strict=True)]
        ratio = _ratio(spec, ours, theirs)
    return {
        "name": spec.name,
        "ours": ours,
        "theirs": theirs,
        "ratio": ratio,
        "unit": spec.unit,
        "n": len(rounds.ours),
        "low": min(spread),
        "high": max(spread),
        "command": command,
        "ours_is": spec.ours,
        "theirs_is": spec.theirs,
        "aim": spec.aim,
        "note": rounds.note,
    }


def _ratio(spec: Spec, ours: float, theirs: float) -> float:
    return ours / theirs if spec.more_is_better else theirs / ours
