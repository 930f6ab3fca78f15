"""Waiting for the nodes of a cluster; one test starts real ones."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from search.pipeline.options import RunOptions
from search.runtime import nodes
from search.runtime.cluster import start_ray
from search.runtime.nodes import needed, wait_for_nodes
from tests.searches import ROOT, environment

LATE = """
from concurrent.futures import ThreadPoolExecutor
from search.runtime.cluster import plan_resources, start_ray
from search.runtime.nodes import needed, wait_for_nodes
from ray.cluster_utils import Cluster

head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": 0}
cluster = Cluster(initialize_head=True, head_node_args=head)
start_ray(cluster.address)
options = {"gpus": 2, "gpus_per_trial": 1.0, "workers_per_trial": 1}
try:
    wait_for_nodes(needed(**options), 1.0)
except ValueError as error:
    print("refused:", error)
with ThreadPoolExecutor() as pool:  # nodes are added in the main thread alone
    waiting = pool.submit(wait_for_nodes, needed(**options), 50.0)
    cluster.add_node(num_cpus=2, num_gpus=2)
    there = waiting.result()
plan = plan_resources(cpus=there["CPU"], available_gpus=there["GPU"], n_trials=9, **options)
print("plan:", plan.describe())
"""


@pytest.mark.long
@pytest.mark.slow
def test_a_plan_takes_the_gpus_of_a_node_that_joins_while_it_waits(tmp_path: Path) -> None:
    own = environment(tmp_path) | {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", LATE],
        capture_output=True,
        text=True,
        timeout=120,
        env=own,
        cwd=tmp_path,
        check=False,
    )
    said = [line for line in ended.stdout.splitlines() if line.startswith(("refused", "plan"))]
    assert said == [
        "refused: a cluster must have 2 GPUs and 1 CPU core within --wait-for-nodes 1 s, but has "
        "0 GPUs and 0 CPU cores",
        "plan: 2 trials at a time, 1 worker per trial, 1 CPU core and 1 GPU per worker",
    ], ended
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ((None, 1.0, 1), {"GPU": 1, "CPU": 1}),
        ((None, 4.0, 1), {"GPU": 4, "CPU": 4}),
        ((None, 0.25, 1), {"GPU": 1, "CPU": 1}),
        ((8, 2.0, 1), {"GPU": 8, "CPU": 2}),
        ((0, 1.0, 3), {"GPU": 0, "CPU": 3}),
    ],
)
def test_it_waits_for_what_a_trial_takes_or_for_all_gpus_that_are_asked_for(
    options: tuple[int | None, float, int], needs: dict[str, float]
) -> None:
    assert needed(*options) == needs


def test_an_autoscaler_is_asked_for_single_gpus_and_at_the_end_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    capacities = iter([{"CPU": 4.0}, {"CPU": 4.0}, {"CPU": 8.0, "GPU": 2.0}])
    monkeypatch.setattr(ray, "cluster_resources", lambda: next(capacities))
    monkeypatch.setattr(nodes, "request_resources", lambda bundles: asked.append(bundles))
    monkeypatch.setattr(nodes, "_POLL_S", 0.0)
    assert wait_for_nodes({"GPU": 2, "CPU": 1}, 60.0) == {"CPU": 8.0, "GPU": 2.0}
    assert asked == [[{"GPU": 1}, {"GPU": 1}, {"CPU": 1}], []]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"wait_for_nodes": -1.0, "address": "auto"}, "from 0 to 86400 seconds, but got -1"),
        ({"wait_for_nodes": float("nan"), "address": "auto"}, "but got nan"),
        ({"wait_for_nodes": 60.0}, "give its --address, too, but got 60 without one"),
    ],
)
def test_a_wait_that_could_not_end_well_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match="--wait-for-nodes") as refused:
        RunOptions(**given)
    assert message in str(refused.value)


def test_a_cluster_of_other_versions_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    # As Ray 2.60 says it of a cluster of Ray 2.51.
    text = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.51.0\n    Python: 3.10.20\n"
        "This process on Node 127.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.9\n"
    )

    def init(**_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ValueError, match="must have this process's versions of Ray and") as refused:
        start_ray("127.0.0.1:6379")
    assert "Ray: 2.51.0 Python: 3.10.20 This process" in str(refused.value)
    assert "\n" not in str(refused.value)
