"""The study of a search that runs, in Optuna's dashboard over HTTP."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from search.tuning.study import StudyPlace, join_study
from tests.search.tuning.stored_studies import CONFIG, FIRST, one_trial, search, value_of

pytestmark = pytest.mark.slow
pytest.importorskip("optuna_dashboard")


def asked(port: int, path: str) -> Any:
    """The answer of the dashboard, once it is there."""
    give_up = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:  # it does not listen yet
            if time.monotonic() > give_up:
                raise
        time.sleep(0.1)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_optunas_dashboard_shows_the_trials_of_a_search_that_runs(
    tmp_path: Path, kind: str
) -> None:
    address = str(tmp_path / "study.log") if kind == "journal" else f"sqlite:///{tmp_path}/o.db"
    place = StudyPlace(address, "one", shared=False, own=False)
    join_study(place, CONFIG, "pixels")
    searcher = search(place)
    one_trial(searcher, "a")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), address]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        (study,) = asked(port, "/api/studies")["study_summaries"]
        assert study["study_name"] == "one"
        searcher.suggest("b")  # it shows what comes after its start
        trials = asked(port, f"/api/studies/{study['study_id']}")["trials"]
    finally:
        server.kill()
        server.wait()
    assert [trial["state"] for trial in trials] == ["Complete", "Running"]
    assert trials[0]["values"] == [value_of(FIRST)]
    assert [point["step"] for point in trials[0]["intermediate_values"]] == [1]
