"""Reports of a Ray Train run on their way to the Tune function that waits for it.

Ray Train calls a `UserCallback` in the process of the run's controller, and Tune wants reports from
the one thread that runs its function. A queue connects the two.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import Any

from ray.train import UserCallback
from ray.train.torch import TorchTrainer
from ray.util.queue import Queue


class PutReports(UserCallback):
    """Puts the metrics of every report of a run's first worker into a queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Ray Train's hook; returns once the report is in the queue."""
        self._queue.put(metrics[0])


def fit_reports(
    make_trainer: Callable[[UserCallback], TorchTrainer],
) -> Iterator[dict[str, Any]]:
    """Fit a trainer in a second thread and yield its reports in this one, until the run has ended.

    A report is in the queue before the run can end, and the end is put behind it: neither a slow
    consumer nor a report on its way at the end can lose a report or wait for ever. The queue holds
    one report, so that training does not run ahead of a consumer that may stop it.

    Args:
        make_trainer: returns the trainer; its argument belongs in `RunConfig.callbacks`.

    Yields:
        The metrics of every report, in order.

    Raises:
        ray.train.TrainingFailedError: the run failed; raised after its last report.
    """
    queue = Queue(maxsize=1, actor_options={"num_cpus": 0})
    trainer = make_trainer(PutReports(queue))
    outcome: Future[Any] = Future()

    def fit() -> None:
        try:
            outcome.set_result(trainer.fit())
        except BaseException as error:
            outcome.set_exception(error)
        queue.put(None)

    # A daemon: Tune may end this process before the run ends.
    Thread(target=fit, daemon=True).start()
    yield from iter(queue.get, None)
    outcome.result()
