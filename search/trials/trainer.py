"""Ray Train's trainers, run by the process that waits for them and by as few others as can be.

Left to itself, a run starts seven processes, each a second or two of CPU time: Tune's function, the
run's controller, a queue between these two, a manager of data sets that nobody has, what frees the
workers' CPUs when the controller is gone, a barrier, and the worker. Here the controller lives in
the process of Tune's function and reports to Tune itself, which leaves four.
"""

import asyncio
from typing import Any

import ray.train
from ray import tune
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2.api.callback import UserCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer


class ReportToTune(UserCallback):
    """Hands every report of a run's first worker to Tune, with the path of its checkpoint."""

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Ray Train's hook; returns once Tune wants to hear more, and never if it has stopped."""
        path = {} if checkpoint is None else {"checkpoint_path": checkpoint.path}
        tune.report(metrics[0] | path)


class _Here:
    """What a trainer does otherwise; to be mixed in before it."""

    def _initialize_and_run_controller(self, **options: Any) -> ray.train.Result:
        controller = TrainController(**options)
        asyncio.run(controller.run())
        return controller.get_result()

    def _create_default_callbacks(self) -> list[Any]:
        every = super()._create_default_callbacks()  # type: ignore[misc]
        return [callback for callback in every if not isinstance(callback, DatasetsCallback)]


class _DataParallelHere(_Here, DataParallelTrainer):
    pass


def make_trainer(loop: Any, *, workers: int, use_gpu: bool, **options: Any) -> DataParallelTrainer:
    """A TorchTrainer; of one worker, what that is without torch's process group.

    It would open a port to all networks, and a process that only waits would import torch for it at
    every start.
    """
    if workers == 1:
        return _DataParallelHere(loop, **options)
    from ray.train.torch import TorchConfig, TorchTrainer

    backend = TorchConfig(backend="nccl" if use_gpu else "gloo")
    return type("_TorchHere", (_Here, TorchTrainer), {})(loop, torch_config=backend, **options)
