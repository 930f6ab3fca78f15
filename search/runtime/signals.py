"""Ctrl-C and SIGTERM: the first ends a run in order, a second one at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it, signals end the process as `end_on_signals` says; then the former handlers return.

    Only the main thread can use it.
    """
    before = {number: signal.getsignal(number) for number in CODES}
    end_on_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: not installed from Python, and cannot be put back
                signal.signal(number, handler)


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
