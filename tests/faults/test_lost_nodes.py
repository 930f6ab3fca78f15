"""Two Ray nodes on this machine, one of which is lost in mid-search."""

import os
from collections.abc import Iterator

import pandas as pd
import pytest

from tests.faults.running import checkpoints, running
from tests.searches import Place, runs_of, tiny


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """One core a node; open, as a cluster without token authentication is."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": 0}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_search_that_loses_a_node_finishes_on_the_other(apart: Place, cluster: object) -> None:
    lost = cluster.add_node(num_cpus=1)  # type: ignore[attr-defined]
    address = str(cluster.address)  # type: ignore[attr-defined]
    options = [*tiny(apart, "node"), "--address", address]
    with running(apart, "node", *options, RAY_AUTH_MODE="disabled") as search:
        search.until(lambda: len({c.parent for c in checkpoints(apart, "node")}) == 2)
        assert "2 trials at a time" in search.out
        cluster.remove_node(lost, allow_graceful=False)  # type: ignore[attr-defined]
        ended = search.ended(400)
    assert ended.code == 0, ended
    trials = pd.read_parquet(apart.run("node") / "trials.parquet")
    assert len(trials) == 3
    assert set(trials["status"]) <= {"finished", "stopped early"}
    parent, children = runs_of(apart, "node")
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    trial_ids = [r.data.tags["trial_id"] for r in children if "trial_id" in r.data.tags]
    assert len(trial_ids) == len(set(trial_ids))
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
