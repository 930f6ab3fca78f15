"""SIGTERM and Ctrl-C, as a spot machine and a person send them."""

import os
import signal
import time

import pandas as pd
import pytest

from tests.faults.running import checkpoints, running, until
from tests.searches import Place, runs_of, stages, tiny, tune


@pytest.mark.long
def test_sigterm_closes_the_runs_and_the_search_goes_on_later(apart: Place) -> None:
    options = tiny(apart, "spot", "--trials", "2", "--set", "search.grace_epochs=3")
    with running(apart, "spot", *options) as search:
        search.until(lambda: checkpoints(apart, "spot"))
        search.process.send_signal(signal.SIGTERM)
        ended = search.ended(60)
        assert ended.code == 143, ended
        assert ended.err == ""
        assert "python search/tune.py --resume spot" in ended.out
        until(lambda: not search.processes(), seconds=20, say=search.processes())
    parent, before = runs_of(apart, "spot")
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in before}
    assert "KILLED" in {run.info.status for run in before}
    ended = tune("--resume", "spot", "--results", apart.results, cache=apart.cache)
    assert ended.code == 0, ended
    parent, after = runs_of(apart, "spot")
    assert parent.info.status == "FINISHED"
    assert {run.info.status for run in after} == {"FINISHED"}
    assert stages(after).count("search") == 2
    assert {run.info.run_id for run in before} <= {run.info.run_id for run in after}
    history = pd.read_parquet(apart.run("spot") / "history.parquet")
    trials = pd.read_parquet(apart.run("spot") / "trials.parquet")
    assert len(trials) == 2
    for trial in trials.itertuples():
        own = history[history["trial_id"] == trial.trial_id]["epoch"].tolist()
        assert own == list(range(1, trial.epochs + 1))


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_process(apart: Place) -> None:
    with running(apart, "hasty", *tiny(apart, "hasty", "--trials", "2")) as search:
        search.until(lambda: "search  " in search.out)
        time.sleep(3)  # Ray starts the first trials
        os.killpg(search.process.pid, signal.SIGINT)
        time.sleep(0.2)
        began = time.monotonic()
        os.killpg(search.process.pid, signal.SIGINT)
        ended = search.ended(60)
        assert time.monotonic() - began < 3
        assert ended.code == 130, ended
        assert "Traceback" not in ended.err
        until(lambda: not search.processes(), seconds=10, say=search.processes())
