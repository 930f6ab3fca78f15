"""Free the CPUs and GPUs that trials reserved and no longer use.

Ray Train reserves resources for its workers as a placement group. To stop a trial, Tune kills the
trial's controller, which may leave its placement group behind: always before Ray 2.53 (Ray's issue
54305); in later versions, if it is killed between the reservation and the start of its workers.
With enough groups left behind, the next trial would wait forever.
"""

import time
from typing import Any

import ray
from ray import PlacementGroupID
from ray.tune.callback import Callback
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.state import list_actors, list_placement_groups
from ray.util.state.exception import RayStateApiException

_EVERY_S = 5.0
_MOST = 10_000
_LIVING = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING")


class FreeReservations(Callback):
    """Tune callback that frees resources which ended trials left reserved, during a stage.

    It removes a placement group that has had no living worker for five seconds. A trial that starts
    is safe, since it creates its workers as soon as its resources are reserved.
    """

    def __init__(self) -> None:
        self._due = time.monotonic() + _EVERY_S
        self._unused: set[str] = set()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's hook, called several times a second."""
        if time.monotonic() < self._due:
            return
        try:
            unused = _unused_groups()
        except RayStateApiException:  # the state service is busy: retry next time
            return
        finally:
            self._due = time.monotonic() + _EVERY_S
        for group in unused & self._unused:
            _remove(group)
        self._unused = unused


def free_reservations() -> None:
    """Free all resources that this process's trials reserved; the trials must have ended."""
    mine = ("creator_job_id", "=", ray.get_runtime_context().get_job_id())
    for group in list_placement_groups(filters=[mine, ("state", "!=", "REMOVED")], limit=_MOST):
        _remove(group.placement_group_id)


def _unused_groups() -> set[str]:
    """Ids of this job's placement groups that hold CPUs or GPUs but no living worker.

    The groups that Tune keeps for its own actors hold neither CPUs nor GPUs.
    """
    job_id = ray.get_runtime_context().get_job_id()
    filters = [("creator_job_id", "=", job_id), ("state", "=", "CREATED")]
    groups = list_placement_groups(filters=filters, detail=True, limit=_MOST)
    held = {group.placement_group_id for group in groups if _holds_processors(group.bundles)}
    if not held:
        return set()
    for state in _LIVING:
        filters = [("job_id", "=", job_id), ("state", "=", state)]
        living = list_actors(filters=filters, detail=True, limit=_MOST)
        held -= {actor.placement_group_id for actor in living}
    return held


def _holds_processors(bundles: list[dict[str, Any]]) -> bool:
    return any({"CPU", "GPU"} & set(bundle["unit_resources"]) for bundle in bundles)


def _remove(group_id: str) -> None:
    remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(group_id))))
