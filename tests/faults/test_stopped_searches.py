"""SIGTERM, SIGHUP and Ctrl-C: a spot machine, a lost connection, a person; and a closed pipe."""

import os
import signal
import time

import pandas as pd
import pytest

from tests.faults.running import checkpoints, running, until
from tests.searches import TUNE, Place, execute, runs_of, stages, tiny, tune


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_closes_the_runs_and_the_search_is_resumed_later(
    apart: Place, number: signal.Signals, code: int
) -> None:
    name = f"spot{code}"
    options = tiny(apart, name, "--trials", "2", "--set", "search.grace_epochs=3")
    with running(apart, name, *options) as search:
        search.until(lambda: checkpoints(apart, name))
        search.process.send_signal(number)
        ended = search.ended(60)
        assert ended.code == code, ended
        assert ended.err == ""
        assert f"python -m search.tune --resume {name}" in ended.out
        until(lambda: not search.processes(), seconds=20, say=search.processes())
    parent, before = runs_of(apart, name)
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in before}
    assert "KILLED" in {run.info.status for run in before}
    ended = tune("--resume", name, "--results", apart.results, cache=apart.cache)
    assert ended.code == 0, ended
    parent, after = runs_of(apart, name)
    assert parent.info.status == "FINISHED"
    assert {run.info.status for run in after} == {"FINISHED"}
    assert stages(after).count("search") == 2
    assert {run.info.run_id for run in before} <= {run.info.run_id for run in after}
    history = pd.read_parquet(apart.run(name) / "history.parquet")
    trials = pd.read_parquet(apart.run(name) / "trials.parquet")
    assert len(trials) == 2
    for trial, epochs in trials.set_index("trial_id")["epochs"].items():
        own = history[history["trial_id"] == trial]["epoch"].tolist()
        assert own == list(range(1, epochs + 1))


def test_a_search_whose_reader_is_gone_ends_in_order(apart: Place) -> None:
    piped = ["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", *TUNE]
    ended = execute(*piped, *tiny(apart, "piped"), cache=apart.cache, timeout=200)
    assert ended.code == 141, ended
    assert len(ended.out.splitlines()) == 1
    assert ended.err == ""


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
