"""Progress of a command on stderr: a bar with time left in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Progress = Callable[[int, int], None]
"""Called as (done, total) while a step runs."""

PLAIN_EVERY_S = 10.0
"""Seconds between two plain lines."""


@contextmanager
def progress(what: str) -> Iterator[Progress]:
    """Show the progress of a step.

    Args:
        what: the step, as the line names it.

    Yields:
        The function that the block calls as (done, total).
    """
    # Imported here: most modules only need the type above.
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(what)
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        # Rich's own column of the time left drops old samples: with slow steps it vanishes.
        bars.TextColumn("{task.fields[left]}"),
    )
    started = time.monotonic()
    with bars.Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=None, left="")

        def show(done: int, total: int) -> None:
            left = _left(time.monotonic() - started, done, total) if done else ""
            bar.update(task, completed=done, total=total, left=left)

        yield show


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show the progress of one step after another.

    Yields:
        The function that the block calls as (what, done, total).
    """
    with ExitStack() as stack:
        shown: dict[str, Progress] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in shown:
                stack.close()
                shown.clear()
                shown[what] = stack.enter_context(progress(what))
            shown[what](done, total)

        yield report


def _left(seconds: float, done: int, total: int) -> str:
    """The time left, where `done` >= 1 steps took `seconds`."""
    return f"about {seconds / done * (total - done):.0f} s left"


def _plain(what: str) -> Progress:
    """Print a line every `PLAIN_EVERY_S` seconds, and one at the end."""
    started = printed = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= PLAIN_EVERY_S and 0 < done < total:
            printed = now
            print(
                f"{what}: {done} of {total}, {_left(now - started, done, total)}", file=sys.stderr
            )
        elif done == total:
            print(f"{what}: {total} of {total} in {now - started:.0f} s", file=sys.stderr)

    return report
