"""A trial that is a Ray Train run, in a real Tune."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.tune.callback import Callback
from ray.tune.schedulers import FIFOScheduler
from ray.util import placement_group, placement_group_table
from ray.util.state import list_actors

from tests.searches import ROOT, Place, run_trials


class Busy(Callback):
    """Keeps Tune busy from the last but one report of a trial until after its run has ended."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.heard: list[int] = []

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict, **info: Any
    ) -> None:
        self.heard.append(result["epoch"])
        if result["epoch"] == self.epochs - 1:
            time.sleep(12)


@pytest.mark.slow
@pytest.mark.timeout(150)  # what it is about is a trial that never ends
def test_a_trial_whose_run_ends_while_tune_is_busy_ends_with_every_epoch_heard_once(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    busy = Busy(epochs=2)
    run_trials(place, tmp_path, busy, epochs=2)
    assert busy.heard == [1, 2]


class StopOnceItsWorkerDied(FIFOScheduler):
    """Stops a trial whose worker has just been killed, as Ray may do while it stops one."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        alive = [("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")]
        (worker,) = list_actors(filters=alive, detail=True)
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(1.0)  # the controller looks every 0.1 s
        return self.STOP


@pytest.mark.slow
def test_a_trial_that_is_stopped_as_its_worker_dies_keeps_no_cpu(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    run_trials(place, tmp_path, epochs=20, scheduler=StopOnceItsWorkerDied())
    assert_nothing_is_reserved()


class LeavesCpusReserved(Callback):
    """Reserves a CPU that nobody will use, as a trial does that is stopped in a bad moment."""

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        placement_group([{"CPU": 1}])


@pytest.mark.slow
def test_cpus_that_trials_left_reserved_are_free_after_the_stage(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    run_trials(place, tmp_path, LeavesCpusReserved(), epochs=1)
    assert_nothing_is_reserved()


def assert_nothing_is_reserved() -> None:
    for _ in range(100):
        left = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


class Ages(Callback):
    """For how long each trial's worker process had been there when the trial began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.ages: dict[str, float] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        with subprocess.Popen(["true"]) as now:  # on the clock of the processes
            self.began[trial.trial_id] = psutil.Process(now.pid).create_time()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict, **info: Any
    ) -> None:
        if trial.trial_id in self.ages:
            return
        alive = [("class_name", "=", "RayTrainWorker"), ("state", "=", "ALIVE")]
        (worker,) = list_actors(filters=alive, detail=True)
        started = psutil.Process(worker.pid).create_time()
        self.ages[trial.trial_id] = self.began[trial.trial_id] - started
        time.sleep(8)  # a trial that is long enough for another process to start


@pytest.mark.slow
def test_a_trials_worker_is_started_while_the_trial_before_it_trains(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    seen = Ages()
    run_trials(place, tmp_path, seen, epochs=3, n_trials=2)
    _, second = seen.ages.values()
    assert second > 0


def test_processes_of_a_trial_that_only_wait_import_no_torch() -> None:
    code = "import sys, search.trials.train_trial; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
