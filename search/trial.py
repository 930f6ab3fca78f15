"""One trial as a Ray Train run: the function that Ray Tune runs, which only waits for its workers.

Where only heads are trained, `head_trial.py` does this. Imported by every process of a trial:
what the workers alone need is imported by them (`worker.py`).
"""

import time
from pathlib import Path
from typing import Any

import ray.train
from ray import tune
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from search.checkpoints import drop_torn_snapshot
from search.ledger import earlier_end
from search.plan import Job


class Reluctant(ControllerCallback):
    """Lets a run's controller wait before it starts workers anew, in place of some that died.

    Of a trial that is stopped, Ray ends controller and workers in no order. A controller that saw
    its workers die first would still reserve CPUs for new ones, a moment before its own end; what
    is to free them (Ray Train's cleaner) hears of a reservation only once its workers run, so that
    these CPUs would be lost to the search, and with enough of them it would wait for ever.
    """

    SECONDS = 2.0

    def before_controller_execute_failure_decision(self, failure_decision: Any) -> None:
        """Ray Train's hook."""
        time.sleep(self.SECONDS)


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
    heard = TuneReportCallback()
    tuned = {key: config[key] for key in ("lr", "weight_decay", "strength")}
    folds = tuple(config.get("folds", job.folds))
    resources = {"CPU": job.plan.cpus_per_worker, "GPU": job.plan.gpu_share * job.plan.use_gpu}
    trainer = _trainer(
        job,
        train_loop_config=job._replace(folds=folds)._asdict() | {"tuned": tuned},
        scaling_config=ray.train.ScalingConfig(
            num_workers=job.plan.workers,
            use_gpu=job.plan.use_gpu,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray.train.RunConfig(
            # Named after the trial: run again, it goes on from its own last checkpoint.
            name=f"train-{trial_id}",
            storage_path=job.storage,
            callbacks=[heard, Reluctant()],
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
    # When this function has ended, Tune no longer looks at what still lies in the callback's queue,
    # and a result that it is just passing on would wait for ever behind the end of this function.
    # An empty report is passed over, and is taken only once those before it have been passed on.
    last = heard._training_actor_item_queue
    last.put({})
    while not last.empty():
        time.sleep(0.02)


def _trainer(job: Job, **options: Any) -> DataParallelTrainer:
    """A TorchTrainer; of one worker, what that is without torch's process group.

    It would open a port to all networks, and two processes that only wait, Tune's and the run's
    controller, would import torch for it at every start.
    """
    if job.plan.workers == 1:
        return DataParallelTrainer(train_loop, **options)
    from ray.train.torch import TorchConfig, TorchTrainer

    backend = TorchConfig(backend="nccl" if job.plan.use_gpu else "gloo")
    return TorchTrainer(train_loop, torch_config=backend, **options)


def train_loop(job: dict[str, Any]) -> None:
    """Ray Train's function, run by every worker of a trial."""
    from search.worker import train

    train(job)
