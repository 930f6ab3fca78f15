"""The processes of a trial: started beforehand, while the trial before it trains.

Ray starts a process when an actor needs one, and a trial needs three, one after another. Each
process of a trial has its own successor started on its node, idle and of low priority, with the
same environment; the next trial's actors find them ready.
"""

import os
from typing import Any

import grpc
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR
from ray.core.generated import node_manager_pb2, node_manager_pb2_grpc
from ray.core.generated.runtime_environment_pb2 import RuntimeEnvInfo
from ray.train.v2._internal.execution.callback import WorkerGroupCallback

# A trial that is longer hardly feels the start of its processes.
_KEPT_S = 600
_TIMEOUT_S = 5.0
# Left to itself, glibc returns every freed tensor above 32 MB, and the next layer waits for fresh,
# zeroed pages: a third of a training step on a CPU. It must be there before the process starts.
_KEEP_MEMORY = ":".join(
    f"glibc.malloc.{setting}"
    for setting in ("arena_max=1", "mmap_max=0", f"trim_threshold={2**40}", "hugetlb=1")
)


def worker_environment(*, use_gpu: bool, stream: bool) -> dict[str, Any]:
    """Ray's runtime environment of a process that trains.

    Args:
        stream: tasks that decode for it inherit the environment; they have nothing to import.
    """
    variables = {}
    if not stream:
        variables[WORKER_PROCESS_SETUP_HOOK_ENV_VAR] = f"{__name__}.import_training"
    if not use_gpu:
        variables["GLIBC_TUNABLES"] = os.environ.get("GLIBC_TUNABLES", _KEEP_MEMORY)
    return {"env_vars": variables}


def import_training() -> None:
    """Import what a process that trains needs, as it starts, before it knows its trial."""
    import torch._dynamo  # noqa: F401  torch imports it at an optimiser

    import search.trials.worker  # noqa: F401


def order_processes(n: int) -> None:
    """Have processes like this one started on this node, for whoever needs them in 10 minutes.

    They are there for speed alone: where Ray declines, the next trial starts its own.
    """
    context = ray.get_runtime_context()
    (node,) = (n for n in ray.nodes() if n["NodeID"] == context.get_node_id())
    request = node_manager_pb2.PrestartWorkersRequest(
        job_id=bytes.fromhex(context.get_job_id()),
        runtime_env_info=RuntimeEnvInfo(serialized_runtime_env=context.get_runtime_env_string()),
        keep_alive_duration_secs=_KEPT_S,
        num_workers=n,
    )
    raylet = f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
    with init_grpc_channel(raylet) as channel:
        stub = node_manager_pb2_grpc.NodeManagerServiceStub(channel)
        try:
            stub.PrestartWorkers(request, timeout=_TIMEOUT_S)
        except grpc.RpcError:
            return


class OrderSuccessors(WorkerGroupCallback):
    """Orders the processes of the next trial beside this one's, once its workers train.

    Workers order theirs, on the nodes that they are on.
    """

    def __init__(self) -> None:
        self._ordered = False

    def after_worker_group_training_start(self, worker_group: Any) -> None:
        """Ray Train's hook; workers that are started anew need no more of the others."""
        if not self._ordered:
            order_processes(3)  # Tune's function, what frees CPUs, the barrier: see trainer.py
        self._ordered = True
