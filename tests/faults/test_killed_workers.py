"""`kill -9` of a search whose trials train data-parallel."""

import pandas as pd
import pytest

from search.pipeline.run_folder import read_json
from tests.searches import Place, killed_after, runs_of, stages, tiny, tune


@pytest.mark.long
@pytest.mark.timeout(1200)
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
    assert len(list((apart.run("killed") / "ray" / "search").glob("train-*"))) == 1
