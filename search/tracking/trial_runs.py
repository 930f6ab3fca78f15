"""The MLflow runs of a search's trials: what entries of its outbox do to them."""

import math
import os
from typing import NamedTuple

from search.tracking import store
from search.tracking.outbox import Entry


class Place(NamedTuple):
    """Where the runs of a search are.

    Attributes:
        uri: of the store; absolute.
        parent: id of the search's own run.
    """

    uri: str
    experiment_id: str
    parent: str


class TrialRuns:
    """A class for the sake of its client and of the runs that it has found.

    Every entry may come twice: the second time it changes nothing.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: store.MlflowClient | None = None
        self._runs: dict[str, str] = {}  # trial id -> run id

    def deliver(self, entry: Entry) -> None:
        """Do what an entry says: `begin`, `log` or `end` a trial's run, `settle` or `abandon` all.

        Raises:
            what the store raises.
        """
        client = self._client = self._client or store.connect(self._place.uri)
        do = {
            "begin": self._begin,
            "log": self._log,
            "end": self._end,
            "settle": self._settle,
            "abandon": self._abandon,
        }
        do[entry["do"]](client, entry)

    def _run(self, client: store.MlflowClient, entry: Entry) -> str:
        """The trial's run; found, or created with its parameters."""
        trial_id = entry["trial_id"]
        if trial_id in self._runs:
            return self._runs[trial_id]
        _, experiment_id, parent = self._place
        identity = {"trial_id": trial_id, "mlflow.parentRunId": parent}
        run_id = store.find_run(client, experiment_id, identity)
        if run_id is None:
            tags = identity | {"hierclf.kind": "trial", "hierclf.stage": entry["stage"]}
            run_id = client.create_run(experiment_id, run_name=entry["name"], tags=tags).info.run_id
        store.log(client, run_id, params=entry["params"])  # the same value again is no error
        self._runs[trial_id] = run_id
        return run_id

    def _begin(self, client: store.MlflowClient, entry: Entry) -> None:
        client.update_run(self._run(client, entry), status="RUNNING")

    def _log(self, client: store.MlflowClient, entry: Entry) -> None:
        points = store.at_step(entry["metrics"], step=entry["step"], timestamp=entry["timestamp"])
        store.log(client, self._run(client, entry), metrics=points)

    def _end(self, client: store.MlflowClient, entry: Entry) -> None:
        """Final figures from the run's own history: it also holds what came before a resume."""
        run_id, metric = self._run(client, entry), entry["metric"]
        history = client.get_metric_history(run_id, metric)
        final = {} if entry["seconds"] is None else {"seconds": float(entry["seconds"])}
        if finite := [point for point in history if math.isfinite(point.value)]:
            best = max(finite, key=lambda point: point.value)
            final |= {f"best_{metric}": best.value, "best_epoch": best.step}
            final |= {"epochs": max(point.step for point in history)}
        points = store.at_step(final, step=0, timestamp=store.milliseconds())
        store.log(client, run_id, metrics=points, tags=entry["tags"])
        client.set_terminated(run_id, entry["status"])

    def _settle(self, client: store.MlflowClient, entry: Entry) -> None:
        """Delete the runs of a stage's trials that began and that a killed Tune does not know."""
        _, experiment_id, parent = self._place
        stage = f"tags.`hierclf.stage` = '{entry['stage']}'"
        rule = f"tags.mlflow.parentRunId = '{parent}' and {stage}"
        for run in client.search_runs([experiment_id], rule, max_results=1000):
            if run.data.tags["trial_id"] not in entry["trials"]:
                client.delete_run(run.info.run_id)

    def _abandon(self, client: store.MlflowClient, entry: Entry) -> None:
        """The search was cut off: so were the trials that ran, and it has the given status."""
        if entry["pid"] != os.getpid():
            return  # old news: the search has been taken up again
        _, experiment_id, parent = self._place
        rule = f"tags.mlflow.parentRunId = '{parent}' and attributes.status = 'RUNNING'"
        for run in client.search_runs([experiment_id], rule, max_results=1000):
            client.set_terminated(run.info.run_id, "KILLED")
        client.set_terminated(parent, entry["status"])
