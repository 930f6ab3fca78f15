"""Signals that end a run: the first ends it in an orderly way, a second one at once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import psutil

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
"""Exit codes of a process that a signal has stopped, as in a shell."""
BROKEN_PIPE = 141
"""Exit code of a process whose output pipe was closed, as in a shell."""
_stopped: list[int] = []


def end_on_signals() -> None:
    """Let a first SIGINT raise KeyboardInterrupt, and a first SIGTERM or SIGHUP SystemExit.

    The next signal ends the process at once, with all processes that it started, such as those of a
    local Ray. If SIGHUP is ignored (`nohup`), it stays ignored.

    Call it again after `ray.init`, which installs its own SIGTERM handler.
    """
    for number in CODES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def stop(code: int) -> NoReturn:
    """Raise SystemExit, and remember its code, since Ray's blocking calls change it to 1."""
    _stopped.append(code)
    raise SystemExit(code)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Install the handlers of `end_on_signals` for a block, and restore the former ones after it.

    A SystemExit leaves the block with the code that was given to `stop`. Only the main thread can
    use this.
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
            if handler is not None:  # None: not installed from Python, so Python cannot restore it
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
