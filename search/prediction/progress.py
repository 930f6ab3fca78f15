"""Progress of a prediction on a cluster: shards, images per second, time left."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hierclf.progress import PLAIN_EVERY_S


class Done(NamedTuple):
    """How far a prediction is; `before` counts images that an earlier start has predicted."""

    shards: int
    all_shards: int
    images: int
    all_images: int
    before: int


ShardProgress = Callable[[Done], None]


def described(done: Done, seconds: float) -> str:
    """How far it is, and how long the rest takes at the speed so far.

    Args:
        done: how far.
        seconds: since this start.
    """
    text = f"{done.shards:,} of {done.all_shards:,} shards, "
    text += f"{done.images:,} of {done.all_images:,} images"
    if not (own := done.images - done.before):
        return text
    left = seconds / own * (done.all_images - done.images)
    return f"{text}, {own / seconds:,.0f} images/s, about {left:,.0f} s left"


@contextmanager
def shard_progress() -> Iterator[ShardProgress]:
    """Show progress on stderr: a line that changes in a terminal, a line every 10 s elsewhere."""
    from rich.console import Console

    console, started = Console(stderr=True), time.monotonic()
    if console.is_terminal:
        with console.status("predicting: starting workers") as status:
            yield lambda done: status.update(
                f"predicting: {described(done, time.monotonic() - started)}"
            )
        return
    printed = started

    def report(done: Done) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= PLAIN_EVERY_S or done.images == done.all_images:
            printed = now
            print(f"predicting: {described(done, now - started)}", file=sys.stderr)

    yield report
