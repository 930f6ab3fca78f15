"""Ray Tune's trials as MLflow runs: what happens to a trial becomes entries for its run.

Tune's loop writes entries into an outbox and goes on: an MLflow that fails, or takes its time,
never holds up a search.
"""

import time
from collections.abc import Mapping
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from search.tracking import store
from search.tracking.outbox import Entry, Outbox, outbox_at
from search.tracking.trial_runs import Place, TrialRuns

AT_THE_END_S = 5.0
"""How long the end of a stage waits for what is on its way; the rest goes on beside the next."""
# Entries of Tune's results that are no measurements.
_BOOKKEEPING = frozenset(
    {
        *("epoch", "timestamp", "training_iteration", "pid"),
        *("time_this_iter_s", "time_total_s", "time_since_restore", "iterations_since_restore"),
        *("timesteps_total", "timesteps_since_restore", "episodes_total"),
    }
)


class TrialLogger(LoggerCallback):
    """A class because Tune asks for one. Runs are found again after a resume, by their tags.

    A trial that ended by itself or was stopped early is FINISHED (the latter with the tag
    `stopped_early`: `scheduler`, or `search` when the whole search ended first), one that raised is
    FAILED (tag `error`), one that was cut off is KILLED.

    Args:
        place: where the runs go.
        outbox: the file that entries wait in; one for all stages of a search.
        stage: `search`, `confirm` or `refit`; a tag, and part of the run's name.
        metric: What the search maximises; its best epoch is logged as `best_METRIC`.
    """

    def __init__(
        self, place: Place, outbox: Path, *, stage: str = "search", metric: str = "objective"
    ) -> None:
        self._place, self._path = place, outbox
        self._stage = stage
        self._metric = metric
        self._reset()

    def _reset(self) -> None:
        self._stopped: dict[str, str] = {}  # trial id -> who stopped it before its end
        self._open: set[str] = set()  # trials that began and did not end

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; a thread can't be."""
        names = ("_place", "_path", "_stage", "_metric")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @cached_property
    def outbox(self) -> Outbox:
        """Opened at its first use."""
        return outbox_at(self._path, TrialRuns(self._place).deliver)

    def log_trial_start(self, trial: Trial) -> None:
        self._open.add(trial.trial_id)
        self._stopped.pop(trial.trial_id, None)
        self.outbox.put(self._entry("begin", trial))

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        self._open.add(trial.trial_id)
        if result.get("done"):  # a trial's own end comes without a result of its own
            self._stopped[trial.trial_id] = "scheduler"
        self.outbox.put(
            self._entry("log", trial)
            | {
                "metrics": _measurements(result),
                "step": int(result.get("epoch", result.get("training_iteration", 0))),
                "timestamp": int(result.get("timestamp", time.time())) * 1000,
            }
        )

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        if trial.trial_id not in self._open:  # never began: the search ended first
            return
        last = trial.last_result or {}
        tags = {}
        if last.get("failure"):  # a loss that was not finite, say: Tune itself knows of no error
            failed = True
            tags["error"] = str(last["failure"])
        elif failed:
            tags["error"] = _reason(trial)
        elif by := self._stopped.get(trial.trial_id, None if last.get("done") else "search"):
            tags["stopped_early"] = by
        self._end(trial, "FAILED" if failed else "FINISHED", tags, last.get("time_total_s"))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End what was cut off, and drop what was begun for trials that Tune has forgotten."""
        for trial in trials:
            if trial.trial_id in self._open:
                self._end(trial, "KILLED", {}, None)
        known = [trial.trial_id for trial in trials]
        self.outbox.put({"do": "settle", "stage": self._stage, "trials": known})
        self.outbox.wait(AT_THE_END_S)

    def _end(self, trial: Trial, status: str, tags: dict[str, str], seconds: float | None) -> None:
        self._open.discard(trial.trial_id)
        ended = {"status": status, "tags": tags, "metric": self._metric, "seconds": seconds}
        self.outbox.put(self._entry("end", trial) | ended)

    def _entry(self, do: str, trial: Trial) -> Entry:
        params = store.flatten(trial.config, ".")
        number = (trial.experiment_tag or trial.trial_id).split("_")[0]
        return {
            "do": do,
            "trial_id": trial.trial_id,
            "stage": self._stage,
            "name": f"{self._stage} {number}",
            "params": {key: str(value) for key, value in params.items()},
        }


def _measurements(result: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a result, flat; MLflow folds the names at the slash."""
    flat = store.flatten({k: v for k, v in result.items() if k != "config"}, "/")
    return {
        key: float(value)
        for key, value in flat.items()
        if key not in _BOOKKEEPING
        and isinstance(value, Real)  # numpy scalars too
        and not isinstance(value, bool)
    }


def _reason(trial: Trial) -> str:
    """Last line of the trial's error: the exception itself.

    Read from the local copy; `trial.get_error` reads the storage, which gets it later.
    """
    file = Path(trial.error_file) if trial.error_file else None
    text = file.read_text(errors="replace").strip() if file and file.is_file() else ""
    return text.splitlines()[-1][:500] if text else "unknown"
