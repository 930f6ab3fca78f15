"""One trial as a Ray Train run: the function that Ray Tune runs, which only waits for its workers.

Where only heads are trained, `head_trial.py` does this. Imported by every process of a trial:
what the workers alone need is imported by them (`worker.py`).
"""

from pathlib import Path
from typing import Any

import ray.train
from ray import tune

from search.trials.checkpoints import drop_torn_snapshot
from search.trials.ledger import earlier_end
from search.trials.plan import Job
from search.trials.trainer import ReportToTune, make_trainer
from search.trials.trial_processes import OrderSuccessors, worker_environment


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
    folds = tuple(config.get("folds", job.folds))
    resources = {"CPU": job.plan.cpus_per_worker, "GPU": job.plan.gpu_share * job.plan.use_gpu}
    trainer = make_trainer(
        train_loop,
        workers=job.plan.workers,
        use_gpu=job.plan.use_gpu,
        train_loop_config={"job": job._replace(folds=folds), "tuned": tuned},
        scaling_config=ray.train.ScalingConfig(
            num_workers=job.plan.workers,
            use_gpu=job.plan.use_gpu,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray.train.RunConfig(
            # Named after the trial: run again, it goes on from its own last checkpoint.
            name=f"train-{trial_id}",
            storage_path=job.storage,
            callbacks=[ReportToTune(), OrderSuccessors()],
            worker_runtime_env=worker_environment(
                use_gpu=job.plan.use_gpu, stream=job.config["data"]["stream"]
            ),
            failure_config=ray.train.FailureConfig(max_failures=2, controller_failure_limit=2),
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=1,
                checkpoint_score_attribute="objective",
                checkpoint_score_order="max",
            ),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),
        ),
    )
    trainer.fit()


def train_loop(config: dict[str, Any]) -> None:
    """Ray Train's function, run by every worker of a trial.

    Args:
        config: `job`, a `Job`, and `tuned`, the searched values by name.
    """
    from search.trials.worker import train

    train(config["job"], config["tuned"])
