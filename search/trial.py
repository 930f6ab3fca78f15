"""One trial: the function that Ray Tune runs, and the one that its Ray Train workers run.

A trial trains one network on each of its folds, in step, and reports after every epoch how well
known and novel classes can both be right.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import ray.train
import torch
from ray import tune
from ray.train.torch import TorchConfig, TorchTrainer, get_device, prepare_model
from ray.tune.integration.ray_train import TuneReportCallback

from hierclf.bundle import bundle_from_run, save_bundle
from hierclf.config import Config, parse_config
from hierclf.errors import one_line
from hierclf.fold_run import FoldRun
from hierclf.prepare import Prepared, prepare
from hierclf.train import NonFiniteLossError
from search.checkpoints import METRICS, drop_torn_snapshot, latest_whole
from search.cluster import Plan
from search.ledger import earlier_end
from search.objective import EPOCH_SCORES, epoch_metrics

CHECKPOINT_EVERY_S = 30.0
"""A checkpoint is written when the objective is better than before, or this long after the last."""


class Job(NamedTuple):
    """What a trial does, apart from the values that the search varies.

    Attributes:
        config: the resolved configuration.
        folds: names of the folds to train on.
        epochs: how many epochs of the configuration's schedule are run.
        results: write the score table (or, for the fold that hides nothing, the model) at the end.
    """

    config: dict[str, Any]
    folds: tuple[str, ...]
    epochs: int
    results: bool
    cache_dir: str
    plan: Plan
    storage: str


def run_trial(config: dict[str, Any], job: Job) -> None:
    """Tune's function: start a Ray Train run for these values and pass its reports on.

    Args:
        config: lr, weight_decay, strength; optionally `folds` in place of the job's.
    """
    trial_id = tune.get_context().get_trial_id()
    if (end := earlier_end(job.storage, trial_id)) is not None:
        tune.report(end)  # Tune was killed before it had saved this end
        return
    drop_torn_snapshot(Path(job.storage) / f"train-{trial_id}")
    tuned = {key: config[key] for key in ("lr", "weight_decay", "strength")}
    settings = parse_config(job.config).with_hyperparameters(**tuned)
    folds = tuple(config.get("folds", job.folds))
    resources = {"CPU": job.plan.cpus_per_worker, "GPU": int(job.plan.use_gpu)}
    trainer = TorchTrainer(
        train_loop,
        train_loop_config=job._replace(config=settings.model_dump(), folds=folds)._asdict(),
        torch_config=TorchConfig(backend="nccl" if job.plan.use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=job.plan.workers,
            use_gpu=job.plan.use_gpu,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray.train.RunConfig(
            # Named after the trial: run again, it goes on from its own last checkpoint.
            name=f"train-{trial_id}",
            storage_path=job.storage,
            callbacks=[TuneReportCallback()],
            failure_config=ray.train.FailureConfig(max_failures=2, controller_failure_limit=2),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=1,
                checkpoint_score_attribute="objective",
                checkpoint_score_order="max",
            ),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    )
    metrics = trainer.fit().metrics
    if metrics:
        # Tune may end this function before it has looked at the last report of the callback's
        # queue: said again, the last epoch is never lost.
        tune.report(metrics)


def train_loop(job: dict[str, Any]) -> None:
    """Ray Train's function, run by every worker of a trial."""
    context = ray.train.get_context()
    config = parse_config(job["config"])
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(Plan(*job["plan"]).cpus_per_worker)
    prepared = prepare(config, directory=Path(job["cache_dir"]), device=device)
    world = context.get_world_size()
    runs = [
        FoldRun(
            prepared.folds[name],
            prepared.cache,
            config,
            device,
            features=prepared.features,
            prior=prepared.prior,
            wrap=prepare_model if world > 1 else None,
            rank=context.get_world_rank(),
            world=world,
        )
        for name in job["folds"]
    ]
    _train(runs, config, prepared, job)


def _train(runs: list[FoldRun], config: Config, prepared: Prepared, job: dict[str, Any]) -> None:
    trial = ray.train.get_context().get_experiment_name()
    done = _restore(runs, Path(job["storage"]) / trial)
    best, saved = done.get("best_objective", -1.0), time.monotonic()
    last = job["epochs"]
    if done.get("epoch", 0) >= last:
        ray.train.report(done)  # everything was done before the interruption: say it again
        return
    for epoch in range(done.get("epoch", 0) + 1, last + 1):
        started = time.monotonic()
        metrics, failure = _run_epoch(runs, epoch)
        if failure:
            # The same would happen again: the trial ends here, as bad as can be, with its reason.
            worst = {"objective": 0.0, "best_objective": 0.0}  # the search learns from these
            ray.train.report({"epoch": epoch, **worst, "failure": failure})
            return
        metrics["epoch_seconds"] = time.monotonic() - started
        better = metrics["objective"] > best
        best = max(best, metrics["objective"])
        metrics["best_objective"] = best
        due = better or epoch == last or time.monotonic() - saved > CHECKPOINT_EVERY_S
        if due and ray.train.get_context().get_world_rank() == 0:
            with tempfile.TemporaryDirectory() as folder:
                _save(Path(folder), runs, metrics)
                if job["results"] and epoch == last:
                    _write_results(Path(folder), runs, config, prepared)
                checkpoint = ray.train.Checkpoint.from_directory(folder)
                ray.train.report(metrics, checkpoint=checkpoint)
            saved = time.monotonic()
        else:
            ray.train.report(metrics)


def _run_epoch(runs: list[FoldRun], epoch: int) -> tuple[dict[str, Any], str]:
    """Train every fold once and look at it: its metrics, and why it failed where it did."""
    losses, failure = [], ""
    for run in runs:
        try:
            losses.append(run.train_epoch(epoch))
        except NonFiniteLossError as error:
            failure = str(error)
        except (MemoryError, torch.OutOfMemoryError) as error:
            if run.world > 1:  # the others wait for this one's gradients: Ray must end them
                raise
            failure = f"out of memory: {one_line(error)}"
        failure = _shared_failure(failure, run.device)
        if failure:
            return {}, f"epoch {epoch}: {failure}"
    try:
        metrics = _epoch_metrics(runs)
    except (NonFiniteLossError, MemoryError, torch.OutOfMemoryError) as error:
        metrics, failure = {}, f"epoch {epoch}: {one_line(error)}"
    # Only the first worker evaluates, so that only it can have failed here.
    failure = _shared_failure(failure, runs[0].device)
    return {"epoch": epoch, "loss": sum(losses) / len(losses), **metrics}, failure


def _shared_failure(failure: str, device: torch.device) -> str:
    """A failure of any worker ends the epoch of all: one that went on would wait for ever."""
    if ray.train.get_context().get_world_size() == 1:
        return failure
    flag = torch.tensor(float(bool(failure)), device=device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return failure or ("another worker's loss was not finite" if flag else "")


def _epoch_metrics(runs: list[FoldRun]) -> dict[str, float]:
    """The open-set objective and its parts; zero where nothing is hidden (the refit)."""
    if ray.train.get_context().get_world_rank() != 0:
        return {"objective": 0.0}  # only the first worker's reports are kept
    if not any(len(run.fold.held_out) for run in runs):
        return {"objective": 0.0}
    return epoch_metrics(pd.concat([run.table(EPOCH_SCORES, {}, calibrated=False) for run in runs]))


def _save(folder: Path, runs: list[FoldRun], metrics: dict[str, Any]) -> None:
    for run in runs:
        run.save(folder)
    (folder / METRICS).write_text(json.dumps(metrics))


def _restore(runs: list[FoldRun], trial: Path) -> dict[str, Any]:
    checkpoint = ray.train.get_checkpoint()
    folder = latest_whole(trial) if checkpoint is None else Path(checkpoint.path)
    if folder is None:
        return {}
    for run in runs:
        run.load(folder)
    return json.loads((folder / METRICS).read_text())


def _write_results(folder: Path, runs: list[FoldRun], config: Config, prepared: Prepared) -> None:
    names = config.thresholds.scores
    tables = []
    for run in runs:
        states = run.fitted_scores(names)
        if len(run.fold.held_out):
            tables.append(run.table(names, states))
        else:
            save_bundle(bundle_from_run(run, states), folder / "model")
    if tables:
        pd.concat(tables, ignore_index=True).to_parquet(folder / "scores.parquet")
