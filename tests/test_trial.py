"""A trial that is a Ray Train run, in a real Tune."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ray.tune.callback import Callback
from ray.tune.schedulers import FIFOScheduler
from ray.util import placement_group_table
from ray.util.state import list_actors
from searches import ROOT, Place, one_trial


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
    one_trial(place, tmp_path, busy, epochs=2)
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
    one_trial(place, tmp_path, epochs=20, scheduler=StopOnceItsWorkerDied())
    for _ in range(100):
        left = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
        if not left:
            break
        time.sleep(0.1)
    assert not left


def test_processes_of_a_trial_that_only_wait_import_no_torch() -> None:
    code = "import sys, search.trial; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
