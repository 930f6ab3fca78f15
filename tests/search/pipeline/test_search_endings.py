"""A search that is killed goes on; one that cannot succeed says so. Each is its own process."""

import pandas as pd
import pytest

from search.pipeline.run_folder import read_json
from tests.searches import Place, frozen, killed_after, runs_of, stages, tiny, tune

pytestmark = pytest.mark.slow


@pytest.fixture
def apart(place: Place) -> Place:
    """Results of their own, so that the other search has its model registry for itself."""
    return place._replace(results=place.results.with_name("other results"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_workers_a_trial_go_on_after_kill_9_in_the_same_runs(apart: Place) -> None:
    options = tiny(apart, "killed", "--workers-per-trial", "2", "--trials", "2")
    options += ["--set", "train.epochs=1"]
    # No threshold sees everything: the goal is out of reach, which must not cost the networks.
    options += ["--set", "thresholds.goal=seen-at-least", "--set", "thresholds.seen=1.0"]
    said = killed_after("  trial 1/2", *options, cache=apart.cache)
    assert "  trial 1/2" in said
    assert not (apart.run("killed") / "summary.json").exists()
    _, before = runs_of(apart, "killed")
    resume = ["--resume", "killed", "--results", str(apart.results)]
    ended = tune(*resume, cache=apart.cache)
    assert ended.code == 0, ended
    assert "`seen` must be reached by some tau" in ended.out
    assert "balanced thresholds instead" in ended.out
    trials = pd.read_parquet(apart.run("killed") / "trials.parquet")
    assert trials["status"].tolist() == ["finished", "finished"]
    assert sorted(trials["train.lr"]) == [1e-4, 2e-3]
    assert read_json(apart.run("killed") / "summary.json")["plan"]["workers"] == 2
    parent, children = runs_of(apart, "killed")
    assert parent.info.status == "FINISHED"
    assert {child.info.status for child in children} == {"FINISHED"}
    assert stages(children).count("search") == 2
    assert {run.info.run_id for run in before} <= {run.info.run_id for run in children}
    best = read_json(apart.run("killed") / "best.json")["trial_id"]
    left = [path.name for path in (apart.run("killed") / "ray" / "search").glob("train-*")]
    assert left == [f"train-{best}"]


@pytest.mark.long
def test_a_search_in_which_every_loss_is_nan_fails_in_one_line(apart: Place) -> None:
    options = tiny(
        apart,
        "nan",
        "--trials",
        "1",
        "--set",
        "search.space.train.lr={low: 1e30, high: 1e32, log: true}",
        *frozen(apart),
    )
    ended = tune(*options, cache=apart.cache)
    assert ended.code == 2, ended
    (line,) = ended.err.splitlines()
    for words in ("at least one trial must succeed", "all 1 failed", "the loss must stay finite"):
        assert words in line
    trials = pd.read_parquet(apart.run("nan") / "trials.parquet")
    assert trials["status"].tolist() == ["failed"]
    parent, children = runs_of(apart, "nan")
    assert parent.info.status == "FAILED"
    assert stages(children) == ["search"]
    assert children[0].info.status == "FAILED"
    assert "the loss must stay finite" in children[0].data.tags["error"]
