"""A trial that is a Ray Train run, in a real Tune."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.tune.callback import Callback
from ray.tune.schedulers import FIFOScheduler
from ray.util import placement_group, placement_group_table
from ray.util.state import list_actors

from tests.searches import Place, run_trials


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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.slow
def test_a_trial_that_is_stopped_as_its_worker_dies_keeps_no_cpu(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    run_trials(place, tmp_path, epochs=20, scheduler=StopOnceItsWorkerDied())
    assert_nothing_is_reserved()


class LeavesEveryCpuReserved(Callback):
    """Reserves CPUs that nobody uses, as a controller may that is killed while it starts workers.

    One placement group takes the free CPUs at once, the other the first trial's when it ends.
    """

    def __init__(self) -> None:
        self.bundles = [1.0, ray.cluster_resources()["CPU"] - 1]

    def on_trial_result(self, *args: Any, **info: Any) -> None:
        while self.bundles:
            placement_group([{"CPU": self.bundles.pop()}])


@pytest.mark.long
@pytest.mark.slow
def test_cpus_that_an_ended_trial_left_reserved_are_freed_for_the_next(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    run_trials(place, tmp_path, LeavesEveryCpuReserved(), epochs=1, n_trials=2)
    assert_nothing_is_reserved()


def assert_nothing_is_reserved() -> None:
    for _ in range(100):
        left = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)
