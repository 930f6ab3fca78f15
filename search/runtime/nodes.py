"""Wait for the nodes of a cluster that starts them when they are asked for."""

import math
import time

import ray
from ray.autoscaler.sdk import request_resources

from hierclf.counts import counted
from search.runtime.progress import console

_POLL_S = 1.0


def wait_for_nodes(needs: dict[str, float], seconds: float) -> dict[str, float]:
    """The resources of the cluster that this process has joined, once they suffice.

    An autoscaler is asked for what is needed, and no longer when this returns: nodes that idle
    until the first trial may end again, and come again for the trial.

    Args:
        needs: CPU and GPU, see `needed`.
        seconds: to wait; 0 takes the cluster as it is.

    Raises:
        ValueError: they do not suffice in time.
    """
    give_up = time.monotonic() + seconds
    capacity = ray.cluster_resources()
    if not seconds or _suffices(capacity, needs):
        return capacity
    console.print(f"  waiting for nodes: {_described(needs)} needed, {_described(capacity)} there")
    request_resources(bundles=_bundles(needs))
    try:
        while not _suffices(capacity, needs):
            if time.monotonic() > give_up:
                raise ValueError(
                    f"a cluster must have {_described(needs)} within --wait-for-nodes "
                    f"{seconds:g} s, but has {_described(capacity)}"
                )
            time.sleep(_POLL_S)
            capacity = ray.cluster_resources()
    finally:
        request_resources(bundles=[])
    return capacity


def needed(gpus: int | None, gpus_per_trial: float, workers_per_trial: int) -> dict[str, float]:
    """CPU cores and GPUs to wait for: all GPUs that are asked for, or what one trial takes.

    Args:
        gpus: None for any number; 0 trains on CPUs.
        gpus_per_trial: each with a worker, which takes a core; below 1, trials share a GPU.
        workers_per_trial: on CPUs, a core each.
    """
    if gpus == 0:
        return {"CPU": workers_per_trial, "GPU": 0}
    return {"CPU": max(1, int(gpus_per_trial)), "GPU": gpus or math.ceil(gpus_per_trial)}


def _suffices(capacity: dict[str, float], needs: dict[str, float]) -> bool:
    return all(capacity.get(name, 0) >= amount for name, amount in needs.items())


def _bundles(needs: dict[str, float]) -> list[dict[str, float]]:
    """A node may have a single GPU, so that each is asked for by itself."""
    return [{name: 1.0} for name in ("GPU", "CPU") for _ in range(int(needs[name]))]


def _described(resources: dict[str, float]) -> str:
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    return f"{counted(gpus, 'GPU')} and {counted(cores, 'CPU core')}"
