"""Ctrl-C and SIGTERM: the first ends a run in order, a second one at once."""

import os
import signal
from contextlib import suppress
from types import FrameType

import psutil

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""How a process ends that a signal has stopped, as shells count it."""


def end_on_signals() -> None:
    """Let the first SIGINT raise KeyboardInterrupt, the first SIGTERM SystemExit(143).

    The next one, whichever it is, ends the process and those that it started, a local Ray's among
    them, without another word.

    Call it again after `ray.init`, which has a handler of its own for SIGTERM.
    """
    for number in CODES:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for each in CODES:
        signal.signal(each, _end_at_once)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(CODES[signal.SIGTERM])


def _end_at_once(number: int, frame: FrameType | None) -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(CODES[signal.Signals(number)])
