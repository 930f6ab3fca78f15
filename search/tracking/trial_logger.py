"""Log Ray Tune's trials as MLflow runs: each event of a trial becomes an entry for its run.

Tune's loop only writes entries into an outbox, so that a slow or failing MLflow store never delays
a search.
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
from search.tracking.entries import Begin, End, Log, Settle
from search.tracking.outbox import Outbox, outbox_at
from search.tracking.trial_runs import Place, TrialRuns

AT_THE_END_S = 5.0
"""How long the end of a stage waits for the outbox; the rest is sent during the next stage."""
# Keys of Tune's results that are not metrics.
_BOOKKEEPING = frozenset(
    {
        *("epoch", "timestamp", "training_iteration", "pid"),
        *("time_this_iter_s", "time_total_s", "time_since_restore", "iterations_since_restore"),
        *("timesteps_total", "timesteps_since_restore", "episodes_total"),
    }
)


class TrialLogger(LoggerCallback):
    """Tune callback that reports every trial; after a resume, it finds the runs by their tags.

    A trial's run is FINISHED if the trial ended or was stopped early (then with the tag
    `stopped_early`: `scheduler`, or `search` if the whole search ended first), FAILED if the trial
    raised an error (tag `error`), and KILLED if it was interrupted.

    Args:
        place: where the runs are.
        outbox: the outbox's file; one for all stages of a search.
        stage: `search`, `confirm` or `refit`; a tag, and part of the run's name.
        metric: the metric that the search maximises; its best value is logged as `best_METRIC`.
    """

    def __init__(
        self, place: Place, outbox: Path, *, stage: str = "search", metric: str = "objective"
    ) -> None:
        self._place, self._path = place, outbox
        self._stage = stage
        self._metric = metric
        self._reset()

    def _reset(self) -> None:
        self._stopped: dict[str, str] = {}  # trial id -> what stopped the trial early
        self._open: set[str] = set()  # trials that started and have not ended

    def __getstate__(self) -> dict[str, Any]:
        """The state without the outbox: Tune pickles callbacks, and a thread cannot be pickled."""
        names = ("_place", "_path", "_stage", "_metric")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @cached_property
    def outbox(self) -> Outbox:
        """The outbox, opened at its first use."""
        return outbox_at(self._path, TrialRuns(self._place).deliver)

    def log_trial_start(self, trial: Trial) -> None:
        self._open.add(trial.trial_id)
        self._stopped.pop(trial.trial_id, None)
        self.outbox.put(Begin(**self._trial(trial)))

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        self._open.add(trial.trial_id)
        if result.get("done"):  # stopped by the scheduler: other ends come without a result
            self._stopped[trial.trial_id] = "scheduler"
        self.outbox.put(
            Log(
                **self._trial(trial),
                metrics=_measurements(result, first=self._metric),
                step=int(result.get("epoch", result.get("training_iteration", 0))),
                timestamp=int(result.get("timestamp", time.time())) * 1000,
            )
        )

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        if trial.trial_id not in self._open:  # never started: the search ended first
            return
        last = trial.last_result or {}
        tags = {}
        if last.get("failure"):  # such as a loss that is not finite: no error for Tune
            failed = True
            tags["error"] = str(last["failure"])
        elif failed:
            tags["error"] = _reason(trial)
        elif by := self._stopped.get(trial.trial_id, None if last.get("done") else "search"):
            tags["stopped_early"] = by
        self._end(trial, "FAILED" if failed else "FINISHED", tags, last.get("time_total_s"))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End the runs of interrupted trials; delete those of trials that Tune does not know."""
        for trial in trials:
            if trial.trial_id in self._open:
                self._end(trial, "KILLED", {}, None)
        known = [trial.trial_id for trial in trials]
        self.outbox.put(Settle(stage=self._stage, trials=known))
        self.outbox.wait(AT_THE_END_S)

    def _end(self, trial: Trial, status: str, tags: dict[str, str], seconds: float | None) -> None:
        self._open.discard(trial.trial_id)
        self.outbox.put(
            End(
                **self._trial(trial),
                status=status,
                tags=tags,
                metric=self._metric,
                seconds=seconds,
            )
        )

    def _trial(self, trial: Trial) -> dict[str, Any]:
        """The fields of `entries.Trial`."""
        params = store.flatten(trial.config, ".")
        number = (trial.experiment_tag or trial.trial_id).split("_")[0]
        name = f"{self._stage} {number:0>3}"  # names sort as numbers do
        return {
            "trial_id": trial.trial_id,
            "stage": self._stage,
            "name": name,
            "params": {key: str(value) for key, value in params.items()},
        }


def _measurements(result: Mapping[str, Any], *, first: str) -> dict[str, float]:
    """The numbers of a result as a flat mapping; MLflow groups metrics by the slash.

    MLflow keeps their order, and its plots open on the metric `first`.
    """
    flat = store.flatten({k: v for k, v in result.items() if k != "config"}, "/")
    flat = {first: flat.get(first)} | flat
    return {
        key: float(value)
        for key, value in flat.items()
        if key not in _BOOKKEEPING
        and isinstance(value, Real)  # numpy scalars too
        and not isinstance(value, bool)
    }


def _reason(trial: Trial) -> str:
    """Last line of the trial's error file: the exception itself.

    The local copy is read; `trial.get_error` reads the storage, to which it is copied later.
    """
    file = Path(trial.error_file) if trial.error_file else None
    text = file.read_text(errors="replace").strip() if file and file.is_file() else ""
    return text.splitlines()[-1][:500] if text else "unknown"
