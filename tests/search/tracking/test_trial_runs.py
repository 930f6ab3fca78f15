"""Entries of an outbox in a real store: once or twice, the runs are the same."""

import os
from typing import Any

import pytest

from search.tracking import store
from search.tracking.entries import Abandon, Begin, End, Entry, Log, Settle
from search.tracking.trial_runs import Place, TrialRuns

TRIAL: dict[str, Any] = {
    "trial_id": "t1",
    "stage": "search",
    "name": "search 1",
    "params": {"lr": "0.1"},
}
HISTORY: list[Entry] = [
    Begin(**TRIAL),
    Log(**TRIAL, metrics={"objective": 0.5}, step=1, timestamp=1000),
    Log(**TRIAL, metrics={"objective": 0.4}, step=2, timestamp=2000),
    End(**TRIAL, status="FINISHED", tags={"a": "b"}, metric="objective", seconds=3.0),
]


@pytest.fixture
def place(mlflow_uri: str, mlflow_experiment: str) -> Place:
    parent = store.start_search(mlflow_uri, mlflow_experiment, "search", {}, {})
    return Place(mlflow_uri, mlflow_experiment, parent)


def children(place: Place) -> list[Any]:
    rule = f"tags.mlflow.parentRunId = '{place.parent}'"
    return list(store.connect(place.uri).search_runs([place.experiment_id], rule))


@pytest.mark.parametrize("times", [1, 2])
def test_a_history_that_is_delivered_again_by_another_process_changes_nothing(
    place: Place, times: int
) -> None:
    for _ in range(times):
        runs = TrialRuns(place)
        for entry in HISTORY:
            runs.deliver(entry)
    (run,) = children(place)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["a"] == "b"
    points = store.connect(place.uri).get_metric_history(run.info.run_id, "objective")
    assert [(point.step, point.value) for point in points] == [(1, 0.5), (2, 0.4)]
    assert run.data.metrics["best_objective"] == 0.5
    assert run.data.metrics["seconds"] == 3


@pytest.mark.parametrize("times", [1, 2])
def test_the_curve_of_the_best_objective_has_no_point_before_its_first_epoch(
    place: Place, times: int
) -> None:
    reports = [(1, 0.4, 0.4), (2, 0.5, 0.5), (3, 0.3, 0.5)]
    logs = [
        Log(**TRIAL, metrics={"objective": x, "best_objective": y}, step=i, timestamp=1000 * i)
        for i, x, y in reports
    ]
    for _ in range(times):
        for entry in (HISTORY[0], *logs, HISTORY[-1]):
            TrialRuns(place).deliver(entry)
    (run,) = children(place)
    points = store.connect(place.uri).get_metric_history(run.info.run_id, "best_objective")
    assert [(point.step, point.value) for point in points] == [(1, 0.4), (2, 0.5), (3, 0.5)]
    assert run.data.metrics["best_objective"] == 0.5


def test_an_abandoned_search_leaves_no_run_that_seems_to_go_on(place: Place) -> None:
    runs = TrialRuns(place)
    for entry in HISTORY:
        runs.deliver(entry)
    runs.deliver(Begin(**TRIAL | {"trial_id": "t2"}))
    runs.deliver(Abandon(status="KILLED", pid=os.getpid()))
    assert sorted(run.info.status for run in children(place)) == ["FINISHED", "KILLED"]
    assert store.connect(place.uri).get_run(place.parent).info.status == "KILLED"


@pytest.mark.parametrize("times", [1, 2])
def test_a_trial_that_a_killed_tune_forgot_leaves_no_run_in_its_stage(
    place: Place, times: int
) -> None:
    runs = TrialRuns(place)
    for trial_id, stage in (("t1", "search"), ("lost", "search"), ("other", "confirm")):
        runs.deliver(Begin(**TRIAL | {"trial_id": trial_id, "stage": stage}))
    for _ in range(times):
        runs.deliver(Settle(stage="search", trials=["t1"]))
    assert {run.data.tags["trial_id"] for run in children(place)} == {"t1", "other"}


def test_the_interruption_of_an_earlier_process_does_not_end_a_resumed_search(place: Place) -> None:
    TrialRuns(place).deliver(Abandon(status="KILLED", pid=os.getpid() + 1))
    assert store.connect(place.uri).get_run(place.parent).info.status == "RUNNING"
