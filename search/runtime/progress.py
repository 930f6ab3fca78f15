"""Progress display: a bar with the time left in a terminal, plain lines elsewhere."""

import os
import shlex
import sys
import time
from collections.abc import Iterable
from typing import Any

from ray.tune.callback import Callback
from ray.tune.experiment import Trial
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from hierclf.config.space import shown_values
from hierclf.counts import counted
from search.runtime.signals import BROKEN_PIPE, stop
from search.trials.plan import FOLDS, searched


class _Console(Console):
    """A console without markup, since names may contain brackets, that survives failed writes.

    Only a closed pipe (`| head`) ends a search, as a signal does.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **{"soft_wrap": not self.is_terminal} | options)
        except BrokenPipeError:
            self.on_broken_pipe()
        except OSError:  # a full disk or a closed terminal
            self.file = open(os.devnull, "w")  # noqa: SIM115, PTH123

    def on_broken_pipe(self) -> None:
        """Replaces Rich's hook, which would exit with code 1."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        stop(BROKEN_PIPE)


console = _Console(highlight=False, markup=False)
PLAIN_LINE_EVERY_S = 30.0


def headline(word: str, text: str = "") -> None:
    """Print the first line of a stage, with the stage's name in bold."""
    console.print(Text.assemble((word, "bold"), f"  {text}" if text else ""))


def print_command(*words: object) -> None:
    """Print a command to run next, quoted for the shell and on one line."""
    console.print("  " + shlex.join(map(str, words)), soft_wrap=True)


def duration(seconds: float) -> str:
    """A time as text, such as `1 min 15 s` for 75 seconds."""
    seconds = round(seconds)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Steps:
    """Show the progress of countable work, called as (what, done, total); hide quick work."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._what = ""
        self._started = self._printed = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self.close()
            self._what, self._started, self._printed = what, now, now
            if console.is_terminal:
                self._bar = _bar()
                self._task = self._bar.add_task(what, total=total, left="")
                self._bar.start()
        left = (now - self._started) / max(done, 1) * (total - done)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, left=_left(left) if done else "")
        elif now - self._printed > PLAIN_LINE_EVERY_S or (
            done >= total and self._printed > self._started
        ):
            console.print(f"  {what}: {done}/{total}, {_left(left)}")
            self._printed = now
        if done >= total:
            self.close()

    def close(self) -> None:
        """Stop the bar if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class TrialProgress(Callback):
    """Tune callback that shows a stage's progress: a bar in a terminal, and a line per ended trial.

    Progress is counted in trials, or in folds if the folds are divided among the trials.

    Args:
        stage: name of the stage.
        total: number of trials in the stage, or of folds.
        epochs: number of epochs of a trial that is not stopped early.
    """

    def __init__(self, stage: str, *, total: int, epochs: int) -> None:
        self._stage, self._total, self._epochs = stage, total, epochs
        self._best = -1.0
        self._started = time.monotonic()
        self._before: float | None = None  # work that an earlier process did
        self._first: tuple[float, float] | None = None  # time of the first report; work until then
        self._one_ended = False
        self._bar: Progress | None = None
        self._task: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """The state without the bar: Tune pickles callbacks, and a bar cannot be pickled."""
        return self.__dict__ | {"_bar": None, "_task": None}

    def setup(
        self, stop: Any = None, num_samples: Any = None, total_num_samples: Any = None, **info: Any
    ) -> None:
        self._started, self._before = time.monotonic(), None
        self._first, self._one_ended = None, False
        if console.is_terminal:
            self._bar = _bar()
            self._task = self._bar.add_task(self._stage, total=self._total, left="")
            self._bar.start()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        if self._before is None:
            self._before = self._work(trials)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        if self._first is None:
            self._first = time.monotonic(), self._work(trials)
        if self._bar is not None:
            best = f"  best {100 * self._best:.1f}" if self._best > 0 else ""
            left = self._seconds_left(trials)
            text = "" if left is None else _left(left)
            self._bar.update(self._task, description=f"{self._stage}{best}", left=text)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._ended(trials, trial, "")

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self._ended(trials, trial, " failed")

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _ended(self, trials: list[Trial], trial: Trial, how: str) -> None:
        done = sum(_size(other) for other in trials if other.is_finished() or other is trial)
        self._one_ended = True
        result = trial.last_result or {}
        self._best = max(self._best, float(result.get("objective", -1.0)))
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        unit = " folds" if FOLDS in trial.config else ""
        words = [f"  {self._stage} {done}/{self._total}{unit}{how or _outcome(result)}"]
        words.append(shown_values(searched(trial.config)))
        if result.get("failure"):
            words.append(result["failure"])
        left = self._seconds_left(trials, ended=trial)
        if done < self._total and left is not None:
            words.append(_left(left))
        (self._bar.console if self._bar is not None else console).print(
            "  ".join(filter(None, words))
        )
        sys.stdout.flush()

    def _seconds_left(self, trials: list[Trial], ended: Trial | None = None) -> float | None:
        """Time for the remaining work at the speed so far; None until some work is done.

        Until a trial has ended, the speed is measured from the first report on. Otherwise the
        minute in which workers start would slow down the estimate for every later epoch.
        """
        work = self._work(trials, ended)
        since, before = self._started, self._before or 0.0
        if not self._one_ended and self._first is not None:
            since, before = self._first
        if work <= before:
            return None
        return (time.monotonic() - since) / (work - before) * max(self._total - work, 0.0)

    def _work(self, trials: Iterable[Trial], ended: Trial | None = None) -> float:
        """Trials or folds done; a running trial counts by the epochs that it has finished."""
        return sum(_size(t) * (1.0 if t is ended else self._part(t)) for t in trials)

    def _part(self, trial: Trial) -> float:
        if trial.is_finished():
            return 1.0
        return min((trial.last_result or {}).get("epoch", 0) / self._epochs, 1.0)


def _size(trial: Trial) -> int:
    """How many folds a trial has of its own; 1 if all trials have the same folds."""
    return len(trial.config.get(FOLDS, " "))


def _outcome(result: dict[str, Any]) -> str:
    value = float(result.get("objective", 0.0))  # the objective of the last epoch, which counts
    if result.get("failure"):
        return " failed"
    epochs = counted(int(result.get("epoch", 0)), "epoch")
    return f"  objective {100 * value:5.1f} after {epochs}" if value else ""


def _left(seconds: float) -> str:
    return f"about {duration(seconds)} left"


def _bar() -> Progress:
    # Rich's own column of the time left drops old samples: with slow steps it jumps or disappears.
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
    )
