"""CPU, memory, disk, network and GPUs of this machine as metrics of an MLflow run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import mlflow
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

PATIENCE_S = 10.0
"""How long the end of the block waits for a store that does not answer."""


@contextmanager
def system_metrics(uri: str, run_id: str, *, resumed: bool) -> Iterator[None]:
    """While the block runs, log the machine's state to a run every 10 seconds, as MLflow does.

    MLflow's page of the run shows them as `system/...`, GPUs where nvidia-ml-py is installed. A
    store that stops to answer ends the measurements and nothing else.

    Args:
        uri: of the store.
        run_id: of a run that is RUNNING.
        resumed: whether the run has measurements, which go on.
    """
    logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)  # MLflow 3.1's monitor takes no other
    monitor = SystemMetricsMonitor(run_id, resume_logging=resumed)
    monitor.start()
    try:
        yield
    finally:
        # A daemon: it waits for MLflow's own retries, which take minutes.
        end = Thread(target=monitor.finish, daemon=True)
        end.start()
        end.join(PATIENCE_S)
        mlflow.set_tracking_uri(before)
