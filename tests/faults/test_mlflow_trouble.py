"""An MLflow server that is not there, or goes away in mid-search and comes back."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import pytest

from search.tracking import store
from tests.faults.running import running, until
from tests.searches import Place, tiny, tune


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    """`mlflow server` on a store in a folder."""
    folder.mkdir(exist_ok=True)
    store = f"sqlite:///{folder}/server.db"
    options = ["--backend-store-uri", store, "--artifacts-destination", str(folder / "files")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        start_new_session=True,
    )
    try:
        until(lambda: answers(port), seconds=90)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def test_a_server_that_does_not_answer_at_the_start_stops_it_in_one_line(apart: Place) -> None:
    began = time.monotonic()
    options = tiny(apart, "alone", "--mlflow-uri", f"http://127.0.0.1:{free_port()}")
    ended = tune(*options, cache=apart.cache)
    assert time.monotonic() - began < 90
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "MLflow's store http://127.0.0.1:" in line
    assert "refused" in line
    assert not apart.run("alone").exists()  # its name is free


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_server_that_was_gone_for_two_stages_has_everything_in_the_end(apart: Place) -> None:
    port, folder = free_port(), apart.results.parent / "server"
    uri = f"http://127.0.0.1:{port}"
    options = tiny(apart, "gone", "--trials", "2", "--mlflow-uri", uri)
    with ExitStack() as stack:
        with server(folder, port):
            search = stack.enter_context(running(apart, "gone", *options))
            search.until(lambda: "search  " in search.out)
        search.until(lambda: "thresholds  " in search.out, seconds=250)
        with server(folder, port):
            ended = search.ended()
    assert ended.code == 0, ended
    (line,) = ended.err.splitlines()
    assert "the search continues and retries later" in line
    client = store.connect(f"sqlite:///{folder}/server.db")
    experiment = client.get_experiment_by_name("hierclf")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    history = pd.read_parquet(apart.run("gone") / "history.parquet")
    searched = [run for run in runs if run.data.tags.get("hierclf.stage") == "search"]
    assert len(searched) == 2
    for run in searched:
        rows = history[history["trial_id"] == run.data.tags["trial_id"]]
        logged = client.get_metric_history(run.info.run_id, "objective")
        assert {point.step for point in logged} == set(rows["epoch"])
