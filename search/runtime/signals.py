"""Signals that end a run: the first ends it in order, a second one at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import psutil

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Exit codes of a process that a signal has stopped, as shells count them."""
BROKEN_PIPE = 141
"""The same of a process whose output nobody reads any more."""
_stopped: list[int] = []


def end_on_signals() -> None:
    """Let the first SIGINT raise KeyboardInterrupt, the first SIGTERM or SIGHUP SystemExit.

    The next one ends the process and those that it started, a local Ray's among them, at once.
    SIGHUP stays ignored where it is (`nohup`).

    Call it again after `ray.init`, which installs a SIGTERM handler of its own.
    """
    for number in CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def stop(code: int) -> NoReturn:
    """Raise SystemExit, and keep its code: Ray's blocking calls turn it into 1."""
    _stopped.append(code)
    raise SystemExit(code)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within it, signals end the process as `end_on_signals` says; then the former handlers return.

    A SystemExit leaves it with the code that `stop` was called with. Only the main thread can use
    it.
    """
    before = {number: signal.getsignal(number) for number in CODES}
    _stopped.clear()
    end_on_signals()
    try:
        yield
    except SystemExit as error:
        raise SystemExit(_stopped[0] if _stopped else error.code) from None
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: not installed from Python, and cannot be put back
                signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    for each in CODES:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _end_at_once)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    stop(CODES[signal.Signals(number)])


def _end_at_once(number: int, frame: FrameType | None) -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    os._exit(CODES[signal.Signals(number)])
