"""A trial that is a Ray Train run, in a real Tune."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.callback import Callback
from searches import Place

from hierclf.config import load_config
from search.cluster import start_ray
from search.experiment import run_experiment
from search.plan import Job, Plan


class Busy(Callback):
    """Keeps Tune busy from the last but one report of a trial until after its run has ended."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.heard: list[int] = []

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict, **info: Any
    ) -> None:
        self.heard.append(result["epoch"])
        if result["epoch"] == self.job.epochs - 1:
            time.sleep(12)


@pytest.fixture
def local_ray() -> Iterator[None]:
    start_ray(None)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(150)  # what it is about is a trial that never ends
def test_a_trial_whose_run_ends_while_tune_is_busy_ends_with_every_epoch_heard_once(
    place: Place, tmp_path: Path, local_ray: None
) -> None:
    config = load_config(place.config)
    job = Job(
        config=config.model_dump(),
        folds=("sub0",),
        epochs=2,
        results=False,
        cache_dir=str(place.cache),
        plan=Plan(trials_at_a_time=1, workers=1, use_gpu=False, cpus_per_worker=1, gpus=0),
        storage=str(tmp_path),
    )
    busy = Busy(job)
    space = {"lr": tune.grid_search([1e-3]), "weight_decay": 1e-4, "strength": 0.2}
    results = run_experiment(job, n_trials=1, stage="trial", callbacks=[busy], param_space=space)
    assert results[0].error is None
    assert busy.heard == [1, 2]
