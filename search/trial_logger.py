"""Ray Tune's trials as MLflow runs: one child run a trial, written by the main process.

An MLflow that fails never stops a search: what can't be sent is kept, and sent later.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback

from search import tracking

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""Pause after a failed request: a server that is gone costs a search one request in this time."""
REFUSED = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"})
"""Answers that will not change: such a request is dropped."""
# Entries of Tune's results that are no measurements.
_BOOKKEEPING = frozenset(
    {
        *("epoch", "timestamp", "training_iteration", "pid"),
        *("time_this_iter_s", "time_total_s", "time_since_restore", "iterations_since_restore"),
        *("timesteps_total", "timesteps_since_restore", "episodes_total"),
    }
)


class _Facts(NamedTuple):
    """What a run needs of a trial; a request may outlive Tune's own object."""

    trial_id: str
    name: str
    params: dict[str, str]


Request = Callable[[tracking.MlflowClient], None]


class TrialLogger(LoggerCallback):
    """A class because Tune asks for one. Runs are found again after a resume, by their tags.

    A trial that ended by itself or was stopped early is FINISHED (the latter with the tag
    `stopped_early`: `scheduler`, or `search` when the whole search ended first), one that raised is
    FAILED (tag `error`), one that was cut off by Ctrl-C is KILLED.

    Args:
        uri, experiment_id, parent_run_id: Where the runs go; `uri` absolute.
        stage: `search`, `confirm` or `refit`; a tag, and part of the run's name.
        metric: What the search maximises; its best epoch is logged as `best_METRIC`.
    """

    def __init__(
        self,
        uri: str,
        experiment_id: str,
        parent_run_id: str,
        *,
        stage: str = "search",
        metric: str = "objective",
    ) -> None:
        self._place = (uri, experiment_id, parent_run_id)
        self._stage = stage
        self._metric = metric
        self._reset()

    def _reset(self) -> None:
        self._client: tracking.MlflowClient | None = None
        self._runs: dict[str, str] = {}  # trial id -> run id
        self._stopped: dict[str, str] = {}  # trial id -> who stopped it before its end
        self._open: set[str] = set()  # trials that began and did not end
        self._queue: deque[Request] = deque()
        self._retry_at = 0.0
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks; a client and its connections can't be."""
        return {"_place": self._place, "_stage": self._stage, "_metric": self._metric}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def log_trial_start(self, trial: Trial) -> None:
        facts = self._facts(trial)
        self._open.add(facts.trial_id)
        self._stopped.pop(facts.trial_id, None)
        self._send(lambda client: self._begin(client, facts))

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        facts = self._facts(trial)
        self._open.add(facts.trial_id)
        if result.get("done"):  # a trial's own end comes without a result of its own
            self._stopped[facts.trial_id] = "scheduler"
        points = tracking.at_step(
            _measurements(result),
            step=int(result.get("epoch", result.get("training_iteration", 0))),
            timestamp=int(result.get("timestamp", time.time())) * 1000,
        )
        self._send(lambda client: tracking.log(client, self._run(client, facts), metrics=points))

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        facts = self._facts(trial)
        if facts.trial_id not in self._open:  # never began: the search ended first
            return
        self._open.discard(facts.trial_id)
        last = trial.last_result or {}
        tags = {}
        if last.get("failure"):  # a loss that was not finite: Tune itself knows of no error
            failed = True
            tags["error"] = str(last["failure"])
        elif failed:
            tags["error"] = _reason(trial)
        elif by := self._stopped.get(facts.trial_id, None if last.get("done") else "search"):
            tags["stopped_early"] = by
        seconds = last.get("time_total_s")
        status = "FAILED" if failed else "FINISHED"
        self._send(lambda client: self._end(client, facts, status, tags, seconds))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End what Ctrl-C left open, and send what is still waiting."""
        for trial in trials:
            facts = self._facts(trial)
            if facts.trial_id in self._open:
                self._open.discard(facts.trial_id)
                self._send(partial(self._end, facts=facts, status="KILLED", tags={}, seconds=None))
        self._flush()
        if self._queue:
            logger.warning("MLflow: %d entries could not be written", len(self._queue))

    def _facts(self, trial: Trial) -> _Facts:
        params = tracking.flatten(trial.config, ".")
        number = (trial.experiment_tag or trial.trial_id).split("_")[0]
        return _Facts(
            trial_id=trial.trial_id,
            name=f"{self._stage} {number}",
            params={key: str(value) for key, value in params.items()},
        )

    def _run(self, client: tracking.MlflowClient, facts: _Facts) -> str:
        """The trial's run; found, or created with its parameters."""
        if facts.trial_id in self._runs:
            return self._runs[facts.trial_id]
        _, experiment_id, parent = self._place
        identity = {"trial_id": facts.trial_id, "mlflow.parentRunId": parent}
        run_id = tracking.find_run(client, experiment_id, identity)
        if run_id is None:
            tags = identity | {"hierclf.kind": "trial", "hierclf.stage": self._stage}
            run = client.create_run(experiment_id, run_name=facts.name, tags=tags)
            run_id = run.info.run_id
        tracking.log(client, run_id, params=facts.params)  # the same value again is no error
        self._runs[facts.trial_id] = run_id
        return run_id

    def _begin(self, client: tracking.MlflowClient, facts: _Facts) -> None:
        client.update_run(self._run(client, facts), status="RUNNING")

    def _end(
        self,
        client: tracking.MlflowClient,
        facts: _Facts,
        status: str,
        tags: dict[str, str],
        seconds: float | None,
    ) -> None:
        """Final figures from the run's own history: it also holds what came before a resume."""
        run_id = self._run(client, facts)
        history = client.get_metric_history(run_id, self._metric)
        final = {} if seconds is None else {"seconds": seconds}
        if finite := [point for point in history if math.isfinite(point.value)]:
            best = max(finite, key=lambda point: point.value)
            final |= {f"best_{self._metric}": best.value, "best_epoch": best.step}
            final |= {"epochs": max(point.step for point in history)}
        points = tracking.at_step(final, step=0, timestamp=tracking.milliseconds())
        tracking.log(client, run_id, metrics=points, tags=tags)
        client.set_terminated(run_id, status)

    def _send(self, request: Request) -> None:
        self._queue.append(request)
        if time.monotonic() >= self._retry_at:
            self._flush()

    def _flush(self) -> None:
        """Send what waits, oldest first, up to the first request that fails."""
        while self._queue:
            try:
                self._client = self._client or tracking.connect(self._place[0])
                self._queue[0](self._client)
            except Exception as error:  # whatever it is: the search matters more
                if not self._warned:
                    logger.warning(tracking.plain(f"MLflow: the search goes on without: {error}"))
                    self._warned = True
                if _passing(error):
                    self._retry_at = time.monotonic() + RETRY_SECONDS
                    return
            self._queue.popleft()


def _passing(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    known = isinstance(error, tracking.StoreErrors)
    return known and getattr(error, "error_code", None) not in REFUSED


def _measurements(result: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a result, flat; MLflow folds the names at the slash."""
    flat = tracking.flatten({k: v for k, v in result.items() if k != "config"}, "/")
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
