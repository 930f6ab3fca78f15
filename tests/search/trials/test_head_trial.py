"""Trials that train heads on cached features: many configurations in one process."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from hierclf.config import Config
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import prepare
from search.trials.epochs import run_epochs
from search.trials.plan import Job
from tests.head_jobs import FOLDS, GOOD, TIMES, begun, head_job, to_the_end

OTHER = {"train.lr": 1e-3, "train.weight_decay": 1e-2, "train.strength": 1.0}
BROKEN = {"train.lr": 1e30, "train.weight_decay": 1e-4, "train.strength": 0.3}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return head_job(tmp_path_factory.mktemp("heads"))


def trained_alone(job: Job, values: dict[str, float]) -> list[dict[str, Any]]:
    """The reference: the folds trained without any trial around them."""
    config = Config.model_validate(job.config).with_values(values)
    cpu = torch.device("cpu")
    prepared = prepare(config, directory=Path(job.cache_dir), device=cpu)
    runs = [FoldRun(prepared.folds[name], prepared, config, cpu) for name in FOLDS]
    epochs = run_epochs(runs, last=job.epochs)
    return [{key: value for key, value in m.items() if key not in TIMES} for m in epochs]


def test_a_trial_learns_what_its_folds_learn_by_themselves(job: Job) -> None:
    steps = to_the_end(begun(job, GOOD))
    assert [metrics["epoch"] for metrics in steps] == [1, 2, 3]
    assert steps == trained_alone(job, GOOD)


def test_a_process_that_goes_on_to_another_trial_carries_nothing_over(job: Job) -> None:
    trial = begun(job, BROKEN)
    (broken,) = to_the_end(trial)
    assert "the loss must stay finite" in broken["failure"]
    assert broken["best_objective"] == 0.0
    assert trial.reset_config(OTHER)
    assert to_the_end(trial) == trained_alone(job, OTHER)


def test_a_trial_that_varies_the_features_input_uses_its_own_features(job: Job) -> None:
    space = {"model.image_size": {"choices": [24, 32]}}
    job = job._replace(config=job.config | {"search": {"trials": 4, "space": space}})
    trial = begun(job, GOOD | {"model.image_size": 24})
    small = to_the_end(trial)
    assert trial.reset_config(GOOD | {"model.image_size": 32})
    assert to_the_end(trial) == trained_alone(job, GOOD | {"model.image_size": 32}) != small
    assert trial.reset_config(GOOD | {"model.image_size": 24})
    assert to_the_end(trial) == small == trained_alone(job, GOOD | {"model.image_size": 24})


def test_a_trial_goes_on_from_its_checkpoint_as_if_it_had_never_stopped(
    job: Job, tmp_path: Path
) -> None:
    whole = to_the_end(begun(job, GOOD))
    cut_off = begun(job, GOOD)
    cut_off.step()
    cut_off.save_checkpoint(str(tmp_path))
    again = begun(job, GOOD)
    again.load_checkpoint(str(tmp_path))
    assert to_the_end(again) == whole[1:]


def test_a_checkpoint_is_due_after_a_while_and_where_results_are_wanted(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = begun(job, GOOD)
    assert [trial.step()["should_checkpoint"] for _ in range(3)] == [False] * 3
    trial = begun(job._replace(results=True), GOOD)
    assert [trial.step()["should_checkpoint"] for _ in range(3)] == [False, False, True]
    trial.save_checkpoint(str(tmp_path))
    assert set(pd.read_parquet(tmp_path / "scores.parquet")["fold"]) == set(FOLDS)
    monkeypatch.setattr("search.trials.head_trial.CHECKPOINT_EVERY_S", 0.0)
    assert begun(job, GOOD).step()["should_checkpoint"]


def test_only_frozen_backbones_with_one_worker_are_trained_this_way(job: Job) -> None:
    assert job.only_heads
    assert not job._replace(plan=job.plan._replace(workers=2)).only_heads
    assert job._replace(plan=job.plan._replace(use_gpu=True)).only_heads
    trained = job.config | {"model": job.config["model"] | {"freeze": "none"}}
    assert not job._replace(config=trained).only_heads
