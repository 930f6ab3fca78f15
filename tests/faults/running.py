"""A search that runs beside a test, which watches it and does it harm."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.searches import TUNE, Ended, Place, environment, kill_all, processes

PAPERS_LR, OWN_LR = 1e-4, 2e-3
"""Learning rates of the first two trials of a tiny search."""


class Running:
    """A search in a process of its own, with its output in files.

    Args:
        variables: besides those of `environment`.
    """

    def __init__(self, place: Place, name: str, *options: str, **variables: str) -> None:
        self.place, self.name = place, name
        self.marker = f"FAULTS_SEARCH={name}-{os.getpid()}-{time.monotonic_ns()}"
        folder = place.config.parent / f"output of {name}"  # on a disk that no test fills
        folder.mkdir(exist_ok=True)
        self._files = folder / "out", folder / "err"
        key, _, value = self.marker.partition("=")
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.process = subprocess.Popen(
                [*TUNE, *options],
                stdout=out,
                stderr=err,
                env=environment(place.cache) | variables | {key: value, "PYTHONUNBUFFERED": "1"},
                cwd=place.cache.parent,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        return self._files[0].read_text()

    def until(self, seen: Callable[[], Any], *, seconds: float = 200) -> Any:
        """Wait until something is seen; fails if the search ends first."""
        return until(seen, seconds=seconds, alive=lambda: self.process.poll() is None, say=self)

    def ended(self, seconds: float = 300) -> Ended:
        """Wait for its end."""
        code = self.process.wait(seconds)
        return Ended(code, self.out, self._files[1].read_text())

    def processes(self) -> list[int]:
        """Its processes and its Ray's."""
        return processes(f"{self.marker}\0")

    def kill_all(self) -> None:
        """What is left of it ends here, whatever became of the test."""
        kill_all(f"{self.marker}\0")
        if self.process.poll() is None:
            self.process.wait(10)

    def __str__(self) -> str:
        return str((self.process.poll(), self.out, self._files[1].read_text()))


@contextmanager
def running(place: Place, name: str, *options: str, **variables: str) -> Iterator[Running]:
    """A search, none of whose processes outlives the block."""
    search = Running(place, name, *options, **variables)
    try:
        yield search
    finally:
        search.kill_all()


def until(
    seen: Callable[[], Any],
    *,
    seconds: float,
    alive: Callable[[], bool] = lambda: True,
    say: object = "",
) -> Any:
    """Poll until something true is seen; return it."""
    give_up = time.monotonic() + seconds
    while not (found := seen()):
        assert alive(), f"ended too early: {say}"
        assert time.monotonic() < give_up, f"not seen in {seconds} s: {say}"
        time.sleep(0.1)
    return found


def checkpoints(place: Place, name: str, stage: str = "search") -> list[Path]:
    """Complete checkpoints of a stage."""
    folder = place.run(name) / "ray" / stage
    snapshots = folder.glob("train-*/checkpoint_manager_snapshot.json")
    return [file for snapshot in snapshots for file in snapshot.parent.glob("checkpoint_*")]
