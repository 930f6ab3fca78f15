"""Tune's trials as runs of a real SQLite store; the slow tests with a real Tuner."""

import logging
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler

from search.tracking import store
from search.tracking.trial_logger import TrialLogger
from search.tracking.trial_runs import Place


@pytest.fixture
def mlflow_place(mlflow_uri: str, mlflow_experiment: str) -> tuple[str, str]:
    return mlflow_uri, mlflow_experiment


@pytest.fixture
def logger(mlflow_place: tuple[str, str], tmp_path: Path) -> TrialLogger:
    parent = store.start_search(*mlflow_place, "search", {}, {})
    return TrialLogger(Place(*mlflow_place, parent), tmp_path / "outbox.jsonl")


def stand_in(trial_id: str = "t1", **values: Any) -> Any:
    """What the logger asks of a Tune trial."""
    facts = {"config": {"lr": 0.1}, "experiment_tag": "1_lr=0.1", "last_result": {}}
    return SimpleNamespace(trial_id=trial_id, **(facts | values))


def runs(mlflow_place: tuple[str, str], logger: TrialLogger) -> dict[str, Any]:
    """trial id -> run, of a logger that has nothing more to say."""
    assert logger.outbox.wait(20) == 0
    client = store.connect(mlflow_place[0])
    parent = logger._place.parent
    found = client.search_runs([mlflow_place[1]], f"tags.mlflow.parentRunId = '{parent}'")
    by_trial = {run.data.tags["trial_id"]: run for run in found}
    assert len(by_trial) == len(found)
    return by_trial


def test_a_result_becomes_metrics_at_its_epoch_without_tunes_bookkeeping(
    mlflow_place: tuple[str, str], logger: TrialLogger
) -> None:
    result = {
        "epoch": 7,
        "training_iteration": 1,
        "timestamp": 5,
        "pid": 3,
        "done": False,
        "config": {"lr": 0.1},
        "super": {"seen": 1},
        "objective": np.float32(0.5),
        "note": "text",
    }
    logger.log_trial_start(stand_in())
    logger.log_trial_result(1, stand_in(), result)
    run = runs(mlflow_place, logger)["t1"]
    assert run.data.params == {"lr": "0.1"}
    assert list(run.data.metrics.items()) == [("objective", 0.5), ("super/seen", 1.0)]
    (point,) = store.connect(mlflow_place[0]).get_metric_history(run.info.run_id, "objective")
    assert (point.step, point.timestamp) == (7, 5000)
    assert run.info.run_name == "search 001"
    assert run.data.tags["hierclf.stage"] == "search"


def test_what_a_failing_store_refuses_is_kept_and_sent_later_with_one_warning(
    mlflow_place: tuple[str, str], logger: TrialLogger, caplog: pytest.LogCaptureFixture
) -> None:
    database = sqlite3.connect(mlflow_place[0].removeprefix("sqlite:///"))
    database.execute("ALTER TABLE runs RENAME TO gone")
    with caplog.at_level(logging.WARNING, "search.tracking.outbox"):
        logger.log_trial_start(stand_in())
        for epoch in (1, 2):
            logger.log_trial_result(1, stand_in(), {"epoch": epoch, "objective": epoch / 10})
        assert logger.outbox.wait(0.5) == 3
        database.execute("ALTER TABLE gone RENAME TO runs")
        database.close()
        logger.log_trial_end(stand_in(last_result={"done": True, "time_total_s": 3.0}))
        logger.on_experiment_end([stand_in()])
    assert len([r for r in caplog.records if r.name == "search.tracking.outbox"]) == 1
    run = runs(mlflow_place, logger)["t1"]
    assert run.info.status == "FINISHED"
    history = store.connect(mlflow_place[0]).get_metric_history(run.info.run_id, "objective")
    assert [(point.step, point.value) for point in history] == [(1, 0.1), (2, 0.2)]
    assert run.data.metrics["best_objective"] == 0.2
    assert run.data.metrics["seconds"] == 3.0


def test_a_request_that_can_never_succeed_does_not_hold_up_the_others(
    mlflow_place: tuple[str, str], logger: TrialLogger
) -> None:
    logger.log_trial_start(stand_in("deleted"))
    deleted = runs(mlflow_place, logger)["deleted"].info.run_id
    store.connect(mlflow_place[0]).delete_run(deleted)
    logger.log_trial_result(1, stand_in("deleted"), {"epoch": 1, "objective": 0.1})
    logger.log_trial_start(stand_in("other"))
    assert set(runs(mlflow_place, logger)) == {"other"}


def test_a_trial_that_never_began_gets_no_run_and_one_cut_off_is_killed(
    mlflow_place: tuple[str, str], logger: TrialLogger
) -> None:
    logger.log_trial_end(stand_in("pending"))
    logger.log_trial_start(stand_in("running"))
    logger.on_experiment_end([stand_in("pending"), stand_in("running")])
    found = runs(mlflow_place, logger)
    assert {key: run.info.status for key, run in found.items()} == {"running": "KILLED"}


def test_a_pickled_logger_goes_on_in_the_same_run(
    mlflow_place: tuple[str, str], logger: TrialLogger
) -> None:
    logger.log_trial_start(stand_in())
    logger.log_trial_result(1, stand_in(), {"epoch": 1, "objective": 0.9})
    logger.on_experiment_end([stand_in()])
    again = pickle.loads(pickle.dumps(logger))
    again.log_trial_start(stand_in())
    assert runs(mlflow_place, logger)["t1"].info.status == "RUNNING"
    again.log_trial_result(1, stand_in(), {"epoch": 2, "objective": 0.4})
    again.log_trial_end(stand_in(last_result={"done": True}))
    run = runs(mlflow_place, logger)["t1"]
    assert (
        run.data.metrics | {"epochs": 2, "best_objective": 0.9, "best_epoch": 1} == run.data.metrics
    )
    assert "stopped_early" not in run.data.tags


def trainable() -> Callable[[dict], None]:
    """A function inside a function: Ray sends it whole, as its workers can't import this file."""

    def three_epochs(config: dict) -> None:
        for epoch in (1, 2, 3):
            if epoch == config.get("fails_at") and not Path(config["mended"]).exists():
                raise RuntimeError("boom\nno luck")
            tune.report({"epoch": epoch, "objective": config["lr"] * epoch})

    return three_epochs


def tuner(folder: Path, space: dict, logger: TrialLogger, scheduler: Any = None) -> tune.Tuner:
    config = tune.TuneConfig(metric="objective", mode="max", scheduler=scheduler)
    run = tune.RunConfig(name="x", storage_path=str(folder), callbacks=[logger], verbose=0)
    return tune.Tuner(trainable(), param_space=space, tune_config=config, run_config=run)


@pytest.mark.slow
def test_a_search_with_a_failed_trial_is_resumed_in_the_same_runs(
    mlflow_place: tuple[str, str], logger: TrialLogger, tmp_path: Path, local_ray: None
) -> None:
    mended = tmp_path / "mended"
    space = {"lr": 0.1, "mended": str(mended), "fails_at": tune.grid_search([0, 2])}
    tuner(tmp_path, space, logger).fit()
    first = runs(mlflow_place, logger)
    assert sorted(run.info.status for run in first.values()) == ["FAILED", "FINISHED"]
    (failed,) = (run for run in first.values() if run.info.status == "FAILED")
    assert failed.data.tags["error"].endswith("no luck")
    assert failed.data.params == {"lr": "0.1", "mended": str(mended), "fails_at": "2"}
    mended.touch()
    tune.Tuner.restore(str(tmp_path / "x"), trainable(), resume_errored=True).fit()
    second = runs(mlflow_place, logger)
    ids = {trial: run.info.run_id for trial, run in first.items()}
    assert {trial: run.info.run_id for trial, run in second.items()} == ids
    assert {run.info.status for run in second.values()} == {"FINISHED"}
    for run in second.values():
        assert run.data.metrics["best_objective"] == pytest.approx(0.3)
        assert run.data.metrics["best_epoch"] == 3
        assert "stopped_early" not in run.data.tags


@pytest.mark.slow
def test_a_trial_that_the_scheduler_stops_is_finished_and_says_so(
    mlflow_place: tuple[str, str], logger: TrialLogger, tmp_path: Path, local_ray: None
) -> None:
    scheduler = AsyncHyperBandScheduler(
        time_attr="epoch", max_t=4, grace_period=1, reduction_factor=2
    )
    tuner(tmp_path, {"lr": tune.grid_search([0.2, 0.1])}, logger, scheduler).fit()
    found = {run.data.params["lr"]: run for run in runs(mlflow_place, logger).values()}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert "stopped_early" not in found["0.2"].data.tags
    assert found["0.1"].data.tags["stopped_early"] == "scheduler"
    assert found["0.1"].data.metrics["epochs"] == 1
