"""A trial as a Ray Train run: the function that Ray Tune runs, which waits for its workers.

Where only heads are trained, `head_trial.py` does this.
"""

import os
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray import tune
from ray.train.backend import Backend
from ray.train.torch import TorchConfig, TorchTrainer

from search.trials.checkpoints import drop_torn_snapshot
from search.trials.ledger import earlier_end
from search.trials.plan import FOLDS, Job, searched
from search.trials.reports import fit_reports

# By default glibc returns every freed tensor above 32 MB to the system, and the next layer waits
# for fresh, zeroed pages: a third of a training step on a CPU. glibc reads this at process start.
_KEEP_MEMORY = ":".join(
    f"glibc.malloc.{setting}"
    for setting in ("arena_max=1", "mmap_max=0", f"trim_threshold={2**40}", "hugetlb=1")
)


class _NoProcessGroup(TorchConfig):
    """For a single worker, which needs no process group: its store listens on all interfaces."""

    @property
    def backend_cls(self) -> type[Backend]:
        return Backend


def run_trial(config: dict[str, Any], job: Job) -> None:
    """Tune's function: run Ray Train with these values and pass its reports on.

    Args:
        config: the searched values by dotted key; optionally `folds` in place of the job's.
        job: what every trial of the stage does.
    """
    trial_id = tune.get_context().get_trial_id()
    if (end := earlier_end(job.storage, trial_id)) is not None:
        tune.report(end)  # Tune was killed before it saved this end
        return
    drop_torn_snapshot(Path(job.storage) / f"train-{trial_id}")
    for metrics in fit_reports(lambda callback: _trainer(config, job, trial_id, callback)):
        tune.report(metrics)


def _trainer(
    config: dict[str, Any], job: Job, trial_id: str, callback: ray.train.UserCallback
) -> TorchTrainer:
    plan = job.plan
    own = job._replace(folds=tuple(config.get(FOLDS, job.folds)))
    resources = {"CPU": plan.cpus_per_worker, "GPU": plan.gpu_fraction * plan.use_gpu}
    process_group = _NoProcessGroup if plan.workers == 1 else TorchConfig
    return TorchTrainer(
        train_loop,
        train_loop_config={"job": own, "values": searched(config)},
        torch_config=process_group(backend="nccl" if plan.use_gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=plan.workers,
            use_gpu=plan.use_gpu,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray.train.RunConfig(
            # Named after the trial: a retry resumes from its own last checkpoint.
            name=f"train-{trial_id}",
            storage_path=job.storage,
            callbacks=[callback],
            worker_runtime_env=_worker_environment(use_gpu=plan.use_gpu),
            failure_config=ray.train.FailureConfig(max_failures=2, controller_failure_limit=2),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=1,
                checkpoint_score_attribute="objective",
                checkpoint_score_order="max",
            ),
        ),
    )


def _worker_environment(*, use_gpu: bool) -> dict[str, Any]:
    """Ray's runtime environment of the processes that train."""
    if use_gpu:
        return {}
    return {"env_vars": {"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", _KEEP_MEMORY)}}


def train_loop(config: dict[str, Any]) -> None:
    """Ray Train's function, run by every worker of a trial.

    Args:
        config: `job`, a `Job`, and `values`, the searched values by dotted key.
    """
    from search.trials.worker import train  # the waiting processes need none of it

    job: Job = config["job"]
    train(job._replace(prepared=ray.get(job.prepared)), config["values"])
