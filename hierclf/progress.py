"""Progress of a command on stderr: a bar with time left in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 10.0
"""Seconds between two plain lines."""

_Report = Callable[[int, int], None]


@contextmanager
def progress(what: str) -> Iterator[_Report]:
    """Show how far a step is; the block calls what it gets as (done, total)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(what)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain(what: str) -> _Report:
    started = said = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= PLAIN_EVERY_S and 0 < done < total:
            said = now
            left = (now - started) / done * (total - done)
            print(f"{what}: {done} of {total}, about {left:.0f} s left", file=sys.stderr)
        elif done == total:
            print(f"{what}: {total} of {total} in {now - started:.0f} s", file=sys.stderr)

    return report
