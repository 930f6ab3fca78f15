"""Figures of trials: what Ray, Tune and MLflow take beside the training itself."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file

from hierclf.config import load_config, parse_config
from hierclf.data.cache import default_cache_dir
from hierclf.nets.backbones import build_backbone
from hierclf.training.prepare import prepare
from hierclf.training.reopen import files_of
from search.tracking.trial_runs import Place
from search.trials.plan import Job, Plan
from tests.benchmarks.frame import Rounds, Skip, figure, seconds

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "configs" / "cpu.yaml"
TINY: dict[str, Any] = {
    "model": {"backbone": "smallnet", "weights": "none", "image_size": 32, "crop_fraction": 1.0},
    "train": {"epochs": 3, "batch_size": 128, "views": 1},
    "folds": {"sub": 2, "super": 2},
}


class _AsTrainRuns(Job):
    """The same work, each trial a Ray Train run."""

    only_heads = False


@figure(
    "trial_overhead_s",
    unit="s",
    ours="a Ray Train trial less its training, one worker, one at a time, 3 epochs",
    theirs="the same with Ray Train's own polling, every 2 s",
    aim="6 s at most",
)
def trial_overhead_s(device: torch.device) -> Rounds:
    with tempfile.TemporaryDirectory() as folder:
        job = _job(Path(folder), TINY, Job)
        ours = _overhead(job, n_trials=6, polling="0.1")
        theirs = _overhead(job._replace(storage=f"{folder}/default"), n_trials=6, polling="2")
    return Rounds([ours], [theirs], note="means of 6 trials, Ray's start left out")


@figure(
    "head_trial_overhead_s",
    unit="s",
    ours="a trial of heads on cached features less its training, 3 epochs, one at a time",
    theirs="the same, each a Ray Train run",
    aim="under 1 s",
)
def head_trial_overhead_s(device: torch.device) -> Rounds:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "smallnet.safetensors"
        torch.manual_seed(0)
        save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
        frozen = TINY["model"] | {"weights": str(weights), "freeze": "backbone"}
        tree = TINY | {"model": frozen}
        heads = _job(Path(folder) / "heads", tree, Job)
        ours = _overhead(heads, n_trials=30, polling="0.1")
        as_runs = _job(Path(folder) / "runs", tree, _AsTrainRuns)
        theirs = _overhead(as_runs, n_trials=2, polling="0.1")
    return Rounds(
        [ours],
        [theirs],
        note="means of 30 and of 2 trials; their process's start is in, Ray's is not",
    )


def _job(folder: Path, tree: dict[str, Any], kind: type[Job]) -> Job:
    config = parse_config(tree)
    cache_dir = default_cache_dir()
    prepared = prepare(config, directory=cache_dir, device=torch.device("cpu"))
    return kind(
        config=config.model_dump(),
        folds=("sub0", "super0"),
        epochs=config.train.epochs,
        results=False,
        prepared=files_of([(config, prepared)]),
        cache_dir=str(cache_dir),
        plan=Plan(trials_at_a_time=1, workers=1, use_gpu=False, cpus_per_worker=1, gpus=0),
        storage=str(folder / "ray"),
    )


def _overhead(job: Job, *, n_trials: int, polling: str) -> float:
    """Mean seconds of a trial that are not spent in its epochs, MLflow on."""
    from optuna.samplers import RandomSampler
    from ray.tune.search.optuna import OptunaSearch

    from search.tracking.trial_logger import TrialLogger
    from search.tuning.experiment import METRIC, run_experiment
    from search.tuning.space import distributions

    Path(job.storage).mkdir(parents=True)
    storage = Path(job.storage)
    logger = TrialLogger(_store(storage), storage / "outbox.jsonl")
    space = distributions(parse_config(job.config))
    results: list[Any] = []

    def run() -> None:
        search_alg = OptunaSearch(space, metric=METRIC, mode="max", sampler=RandomSampler(seed=0))
        results.extend(
            run_experiment(
                job, n_trials=n_trials, stage="trial", search_alg=search_alg, callbacks=[logger]
            )
        )

    with ray_as_in_a_search(polling):
        wall = seconds(run)
    assert len(results) == n_trials
    assert all(result.metrics["epoch"] == job.epochs for result in results)
    frames = [result.metrics_dataframe.drop_duplicates("epoch") for result in results]
    return (wall - sum(frame["epoch_seconds"].sum() for frame in frames)) / n_trials


@figure(
    "search_32_frozen_s",
    unit="s",
    ours="search stage of 32 trials, 2 folds, 30 epochs, configs/cpu.yaml, features there",
    theirs="",
    aim="under 600 s on 2 cores",
)
def search_32_frozen_s(device: torch.device) -> Rounds:
    data, weights = os.environ.get("HIERCLF_DATA"), os.environ.get("HIERCLF_WEIGHTS", "default")
    if not data:
        raise Skip("it needs HIERCLF_DATA, and HIERCLF_WEIGHTS where none can be downloaded")
    overrides = [f"data.path={data}", f"model.weights={weights}", "search.trials=32"]
    config = load_config(RECIPE, overrides)
    prepared = prepare(config, directory=default_cache_dir(), device=device)
    with tempfile.TemporaryDirectory() as folder, ray_as_in_a_search("0.1") as cpus:
        from search.pipeline.run import Run
        from search.pipeline.run_folder import RunFolder
        from search.pipeline.training_stages import search_stage
        from search.runtime.cluster import plan_resources

        plan = plan_resources(
            cpus=cpus,
            available_gpus=0,
            gpus=0,
            gpus_per_trial=1,
            workers_per_trial=1,
            n_trials=config.search.trials,
        )
        store = _store(Path(folder))
        run = Run(
            name="bench",
            folder=RunFolder(Path(folder)),
            config=config,
            prepared=prepared,
            files=files_of([(config, prepared)]),
            plan=plan,
            cache_dir=default_cache_dir(),
            time_budget_s=None,
            mlflow_uri=store.uri,
            experiment_id=store.experiment_id,
            parent_run_id=store.parent,
            registered_model="hierclf",
            take_over=False,
        )
        took = seconds(lambda: search_stage(run))
        trials = pd.read_parquet(run.folder.trials)
    epochs, best = trials["epochs"].sum(), 100 * trials["objective"].max()
    assert len(trials) == config.search.trials
    note = f"{plan.describe()}; {epochs} epochs of two folds, best objective {best:.1f}"
    return Rounds([took], [], note=note)


@contextmanager
def ray_as_in_a_search(polling: str) -> Iterator[float]:
    """Ray as a search starts it; the number of its CPUs."""
    os.environ["PYTHONPATH"] = str(ROOT)  # Ray's processes find both packages, and this one
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = polling
    import ray

    from search.runtime.cluster import start_ray

    start_ray(None)
    try:
        yield ray.cluster_resources()["CPU"]
    finally:
        ray.shutdown()


def _store(folder: Path) -> Place:
    """A search's run in a new MLflow store."""
    from search.tracking import store

    uri = store.default_uri(folder)
    experiment_id = store.open_store(uri, "benchmark", folder / "mlartifacts")
    parent = store.start_search(uri, experiment_id, "benchmark", {}, {})
    return Place(uri, experiment_id, parent)
