"""A worker of a trial that is a Ray Train run: trains, reports every epoch, keeps checkpoints."""

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train.torch import get_device, prepare_model

from hierclf.config import Config, parse_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import Prepared
from hierclf.training.replica import ALONE, Replica
from search.trials.checkpoints import latest_whole
from search.trials.epochs import CHECKPOINT_EVERY_S, restore, run_epochs, save, write_results
from search.trials.plan import Job
from search.trials.prepared import open_prepared
from search.trials.stream import map_on_cluster

# Of a checkpoint's metrics: those of every epoch up to it.
_REPORTED = "said"


def train(job: Job, values: dict[str, Any]) -> None:
    """Train the folds of a job with the searched values, by dotted key."""
    context = ray.train.get_context()
    config = parse_config(job.config).with_values(values)
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(job.plan.cpus_per_worker)
    # Two at least: one is read while the other is decoded.
    over = partial(map_on_cluster, at_a_time=max(2, job.plan.cpus_per_worker))
    prepared = open_prepared(job, config, device=device, over=over)
    replica = ALONE
    if context.get_world_size() > 1:
        replica = Replica(context.get_world_rank(), context.get_world_size(), prepare_model)
    runs = [
        FoldRun(prepared.folds[name], prepared, config, device, replica=replica)
        for name in job.folds
    ]
    _train(runs, config, prepared, job)


def _train(runs: list[FoldRun], config: Config, prepared: Prepared, job: Job) -> None:
    """Report every epoch; with a checkpoint if it is the best, the last, or a while after one."""
    done = _restore(runs, Path(job.storage) / ray.train.get_context().get_experiment_name())
    reported = done.pop(_REPORTED, [])
    # A killed worker may have checkpointed epochs that it never reported.
    for metrics in reported:
        ray.train.report(metrics)
    best, saved, last = done.get("best_objective", -1.0), time.monotonic(), job.epochs
    for metrics in run_epochs(runs, last=last, done=done):
        reported.append(metrics)
        epoch, better = metrics["epoch"], metrics["best_objective"] > best
        best = max(best, metrics["best_objective"])
        late = time.monotonic() - saved > CHECKPOINT_EVERY_S
        due = (better or late or epoch == last) and epoch > done.get("epoch", 0)
        if not due or "failure" in metrics or runs[0].rank != 0:
            ray.train.report(metrics)
            continue
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder), runs, metrics | {_REPORTED: reported})
            if job.results and epoch == last:
                write_results(Path(folder), runs, config, prepared)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
            ray.train.report(metrics, checkpoint=checkpoint)
        saved = time.monotonic()


def _restore(runs: list[FoldRun], trial: Path) -> dict[str, Any]:
    checkpoint = ray.train.get_checkpoint()
    folder = latest_whole(trial) if checkpoint is None else Path(checkpoint.path)
    return {} if folder is None else restore(folder, runs)
