"""The MLflow runs of a search's trials: apply each entry of the outbox to the store."""

import math
import os
from typing import NamedTuple

from search.tracking import store
from search.tracking.entries import Abandon, Begin, End, Entry, Log, Settle, Trial


class Place(NamedTuple):
    """Where the runs of a search are.

    Attributes:
        uri: absolute address of the store.
        experiment_id: id of the experiment that holds the runs.
        parent: id of the search's own run.
    """

    uri: str
    experiment_id: str
    parent: str


class TrialRuns:
    """Deliver entries to the store at `place`; an entry delivered twice has no further effect."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: store.MlflowClient | None = None
        self._runs: dict[str, str] = {}  # trial id -> run id

    def deliver(self, entry: Entry) -> None:
        """Apply an entry.

        Raises:
            StoreErrors: the store failed; see `store_errors`.
        """
        client = self._client = self._client or store.connect(self._place.uri)
        match entry:
            case Begin():
                client.update_run(self._run(client, entry), status="RUNNING")
            case Log():
                self._log(client, entry)
            case End():
                self._end(client, entry)
            case Settle():
                self._settle(client, entry)
            case Abandon():
                self._abandon(client, entry)

    def _run(self, client: store.MlflowClient, trial: Trial) -> str:
        """Id of the trial's run, which is created with its parameters if it is missing."""
        if trial.trial_id in self._runs:
            return self._runs[trial.trial_id]
        _, experiment_id, parent = self._place
        identity = {"trial_id": trial.trial_id, "mlflow.parentRunId": parent}
        run_id = store.find_run(client, experiment_id, identity)
        if run_id is None:
            tags = identity | {"hierclf.kind": "trial", "hierclf.stage": trial.stage}
            run_id = client.create_run(experiment_id, run_name=trial.name, tags=tags).info.run_id
        store.log(client, run_id, params=trial.params)  # the same value again is no error
        self._runs[trial.trial_id] = run_id
        return run_id

    def _log(self, client: store.MlflowClient, entry: Log) -> None:
        points = store.at_step(entry.metrics, step=entry.step, timestamp=entry.timestamp)
        store.log(client, self._run(client, entry), metrics=points)

    def _end(self, client: store.MlflowClient, entry: End) -> None:
        """Log final metrics from the run's own history, which includes epochs before a resume."""
        run_id, metric = self._run(client, entry), entry.metric
        history = client.get_metric_history(run_id, metric)
        final = {} if entry.seconds is None else {"seconds": float(entry.seconds)}
        points = []
        if finite := [point for point in history if math.isfinite(point.value)]:
            best = max(finite, key=lambda point: point.value)
            last = max(history, key=lambda point: point.step)
            final |= {"best_epoch": best.step, "epochs": last.step}
            # Logged at the last epoch: the trial reports its best value after each epoch, and a
            # final value at step 0 would become the first point of that curve.
            best_so_far = {f"best_{metric}": best.value}
            points = store.at_step(best_so_far, step=last.step, timestamp=last.timestamp)
        points += store.at_step(final, step=0, timestamp=store.milliseconds())
        store.log(client, run_id, metrics=points, tags=entry.tags)
        client.set_terminated(run_id, entry.status)

    def _settle(self, client: store.MlflowClient, entry: Settle) -> None:
        """Delete the runs of trials that a killed Tune had started and no longer knows."""
        _, experiment_id, parent = self._place
        rule = f"tags.mlflow.parentRunId = '{parent}' and tags.`hierclf.stage` = '{entry.stage}'"
        for run in client.search_runs([experiment_id], rule, max_results=1000):
            if run.data.tags["trial_id"] not in entry.trials:
                client.delete_run(run.info.run_id)

    def _abandon(self, client: store.MlflowClient, entry: Abandon) -> None:
        """End the runs of the trials that were interrupted, and the search's own run."""
        if entry.pid != os.getpid():
            return  # outdated: the search has been resumed since
        _, experiment_id, parent = self._place
        rule = f"tags.mlflow.parentRunId = '{parent}' and attributes.status = 'RUNNING'"
        for run in client.search_runs([experiment_id], rule, max_results=1000):
            client.set_terminated(run.info.run_id, "KILLED")
        client.set_terminated(parent, entry.status)
