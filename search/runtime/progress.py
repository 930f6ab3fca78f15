"""Progress for people: a bar with time left in a terminal, plain lines elsewhere."""

import sys
import time
from typing import Any

from ray.tune.callback import Callback
from ray.tune.experiment import Trial
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hierclf.config.space import shown_values
from search.trials.plan import searched

console = Console(highlight=False, soft_wrap=True)
PLAIN_LINE_EVERY_S = 30.0


def duration(seconds: float) -> str:
    """`75 s` -> `1 min 15 s`."""
    seconds = round(seconds)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Steps:
    """Progress of countable work, as (what, done, total) calls; nothing is shown for no work."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None
        self._what = ""
        self._started = self._said = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self.close()
            self._what, self._started, self._said = what, now, now
            if console.is_terminal:
                self._bar = _bar()
                self._task = self._bar.add_task(what, total=total)
                self._bar.start()
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        elif now - self._said > PLAIN_LINE_EVERY_S or (
            done >= total and self._said > self._started
        ):
            left = (now - self._started) / max(done, 1) * (total - done)
            console.print(f"  {what}: {done}/{total}, about {duration(left)} left")
            self._said = now
        if done >= total:
            self.close()

    def close(self) -> None:
        """Stop the bar, if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class TrialProgress(Callback):
    """Says how a stage's trials are going: a bar in a terminal, a line for each that ends.

    Args:
        stage: name of the stage.
        n_trials: how many are planned.
    """

    def __init__(self, stage: str, n_trials: int) -> None:
        self._stage, self._n_trials = stage, n_trials
        self._done: set[str] = set()
        self._best = -1.0
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; a live display cannot be."""
        return self.__dict__ | {"_bar": None, "_task": None}

    def setup(
        self, stop: Any = None, num_samples: Any = None, total_num_samples: Any = None, **info: Any
    ) -> None:
        self._started = time.monotonic()
        if console.is_terminal:
            self._bar = _bar()
            self._task = self._bar.add_task(self._stage, total=self._n_trials)
            self._bar.start()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info: Any
    ) -> None:
        self._best = max(self._best, float(result.get("best_objective", -1.0)))
        if self._bar is not None:
            text = f"{self._stage}{self._best_text()}"
            self._bar.update(self._task, description=text)

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
        self._done.add(trial.trial_id)
        # What an earlier process finished counts, but says nothing about the time left.
        done = sum(other.is_finished() or other is trial for other in trials)
        result = trial.last_result or {}
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
        each = (time.monotonic() - self._started) / len(self._done)
        left = each * (self._n_trials - done)
        words = [f"  {self._stage} {done}/{self._n_trials}{how or _outcome(result)}"]
        words.append(shown_values(searched(trial.config)))
        if result.get("failure"):
            words.append(result["failure"])
        if done < self._n_trials:
            words.append(f"about {duration(left)} left")
        (self._bar.console if self._bar is not None else console).print("  ".join(words))
        sys.stdout.flush()

    def _best_text(self) -> str:
        return f"  best {100 * self._best:.1f}" if self._best > 0 else ""


def _outcome(result: dict[str, Any]) -> str:
    value = float(result.get("best_objective", 0.0))
    if result.get("failure"):
        return " failed"
    epochs = f"{result.get('epoch', 0)} epoch{'s' if result.get('epoch') != 1 else ''}"
    return f"  objective {100 * value:5.1f} after {epochs}" if value else ""


def _bar() -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
