"""Runs in a real SQLite store, looked at through MLflow's own client."""

import contextlib
import json
import math
import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import parse_qs

import pandas as pd
import pytest

from search.tracking import store
from search.tracking.address import local_path

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080200000090775"
    "3de0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


@pytest.fixture
def uri(mlflow_uri: str) -> str:
    return mlflow_uri


@pytest.fixture
def experiment_id(uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return store.open_store(uri, request.node.name, tmp_path / "mlartifacts")


def children(uri: str, experiment_id: str, parent: str) -> list:
    rule = f"tags.mlflow.parentRunId = '{parent}'"
    return store.connect(uri).search_runs([experiment_id], rule)


def test_opening_a_store_is_quiet_and_repeatable(
    mlflow_uri: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    uri = store.default_uri(tmp_path)
    first = store.open_store(uri, "x", tmp_path / "mlartifacts")
    assert store.open_store(uri, "x", tmp_path / "mlartifacts") == first
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "mlflow.db").is_file()


@pytest.mark.parametrize("name", ["a%20b", "what?"])
def test_a_results_folder_that_mlflow_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"no \? and no %"):
        store.default_uri(tmp_path / name)


def test_a_relative_sqlite_store_is_refused_with_the_absolute_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"did you mean sqlite:///{Path.cwd()}/a.db"):
        store.open_store("sqlite:///a.db", "x", tmp_path)


def test_a_server_that_does_not_answer_is_one_line_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ValueError, match=r"Connection refused") as error:
        store.open_store("http://me:secret@127.0.0.1:9", "x", tmp_path)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_store_that_cannot_be_created_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    began = time.monotonic()
    with pytest.raises(ValueError, match="file"):
        store.open_store(f"sqlite:///{tmp_path}/file/mlflow.db", "x", tmp_path)
    assert time.monotonic() - began < 1


def test_a_file_store_and_a_deleted_experiment_are_refused(
    uri: str, experiment_id: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(ValueError, match="not a folder of files, but got file:///"):
        store.open_store((tmp_path / "mlruns").as_uri(), "x", tmp_path)
    store.connect(uri).delete_experiment(experiment_id)
    with pytest.raises(ValueError, match="must not be deleted"):
        store.open_store(uri, request.node.name, tmp_path)


def test_a_resumed_search_finds_its_run_and_keeps_changed_parameters_as_tags(
    uri: str, experiment_id: str
) -> None:
    name = "it's one"
    first = store.start_search(uri, experiment_id, name, {"a": {"b": 1}, "n": 5}, {"data": "demo"})
    other = store.start_search(uri, experiment_id, "another", {}, {}, resume=True)
    store.finish_search(uri, first, {"objective": 0.5}, [])
    again = store.start_search(
        uri, experiment_id, name, {"a": {"b": 1}, "n": 9, "new": "x"}, {}, resume=True
    )
    assert first == again != other
    run = store.connect(uri).get_run(first)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"a.b": "1", "n": "5", "new": "x"}
    assert run.data.tags["resumed.n"] == "9"
    assert run.data.tags["data"] == "demo"
    fresh = store.start_search(uri, experiment_id, name, {"n": 9}, {})
    assert fresh != first


def test_more_parameters_than_one_request_may_hold_are_all_logged(
    uri: str, experiment_id: str
) -> None:
    params = {f"p{i}": i for i in range(250)}
    run_id = store.start_search(uri, experiment_id, "many", params, {})
    assert len(store.connect(uri).get_run(run_id).data.params) == 250


def test_the_threshold_search_is_a_child_with_its_history_table_and_files(
    uri: str, experiment_id: str, tmp_path: Path
) -> None:
    parent = store.start_search(uri, experiment_id, "s", {}, {})
    values = [0.2, 0.7, math.nan, 0.5]
    table = pd.DataFrame({"super_tau": [0.1, 0.2, 0.3, 0.4], "objective": values})
    curve = tmp_path / "curve.png"
    curve.write_bytes(PIXEL)
    for _ in range(2):  # the second replaces the first
        run_id = store.log_thresholds(
            uri, parent, experiment_id, "thresholds", {"regret": 0.01}, table, [curve]
        )
    assert [run.info.run_id for run in children(uri, experiment_id, parent)] == [run_id]
    client = store.connect(uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["regret"] == 0.01
    history = client.get_metric_history(run_id, "objective")
    assert [(m.step, m.value) for m in history] == [(0, 0.2), (1, 0.7), (3, 0.5)]
    best = client.get_metric_history(run_id, "best_objective")
    assert [(m.step, m.value) for m in best] == [(0, 0.2), (1, 0.7), (3, 0.7)]
    assert {file.path for file in client.list_artifacts(run_id)} == {"curve.png", "trials.json"}


def test_the_data_set_is_an_input_of_the_search_once(uri: str, experiment_id: str) -> None:
    run_id = store.start_search(uri, experiment_id, "s", {}, {})
    for _ in range(2):
        store.log_data(
            uri, run_id, "pets", source="/data/pets", fingerprint="ab" * 32, profile={"images": 7}
        )
    inputs = store.connect(uri).get_run(run_id).inputs
    assert inputs is not None
    (given,) = inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("pets", "ab" * 16)
    assert json.loads(given.dataset.profile or "") == {"images": 7}
    assert json.loads(given.dataset.source) == {"uri": "/data/pets"}


def test_the_page_of_a_finished_search_links_to_a_comparison_of_its_trials(
    uri: str, experiment_id: str
) -> None:
    client = store.connect(uri)
    parent = store.start_search(uri, experiment_id, "s", {}, {})
    trials = []
    for stage in ("search", "search", "confirm"):
        tags = {"mlflow.parentRunId": parent, "hierclf.stage": stage}
        trials.append(client.create_run(experiment_id, tags=tags).info.run_id)
    store.finish_search(uri, parent, {}, [], description="what it is")
    link, _, text = client.get_run(parent).data.tags["mlflow.note.content"].partition("\n\n")
    assert text == "what it is"
    query = parse_qs(link.removeprefix("[Compare the trials](#/compare-runs?").removesuffix(")"))
    assert set(json.loads(query["runs"][0])) == set(trials[:2])
    assert json.loads(query["experiments"][0]) == [experiment_id]


def test_the_end_of_a_search_has_figures_files_and_folders(
    uri: str, experiment_id: str, tmp_path: Path
) -> None:
    run_id = store.start_search(uri, experiment_id, "s", {}, {})
    plots = tmp_path / "plots"
    plots.mkdir()
    (plots / "a.png").write_bytes(PIXEL)
    (tmp_path / "summary.json").write_text("{}")
    store.finish_search(uri, run_id, {"x": 1}, [plots, tmp_path / "summary.json"])
    client = store.connect(uri)
    run = client.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"x": 1.0})
    assert {file.path for file in client.list_artifacts(run_id)} == {"plots", "summary.json"}
    logged = Path(local_path(run.info.artifact_uri))
    assert (logged / "plots" / "a.png").read_bytes() == PIXEL


def test_the_process_wide_tracking_uri_is_left_alone(uri: str, experiment_id: str) -> None:
    import mlflow

    store.start_search(uri, experiment_id, "s", {}, {})
    assert not mlflow.is_tracking_uri_set()
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.parametrize("address", ["localhost:5000", "127.0.0.1:5000", "mlruns", "", "http//x"])
def test_an_address_without_a_scheme_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--mlflow-uri must begin with http://") as error:
        store.open_store(address, "hierclf", tmp_path)
    assert ("did you mean" in str(error.value)) == (":" in address)


def test_a_database_of_another_program_or_version_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table alembic_version (version_num varchar(32))")
        database.execute("insert into alembic_version values ('v3.2.0.a')")
        for table in ("experiments", "metrics"):
            database.execute(f"create table {table} (a int)")
        database.commit()
    with pytest.raises(ValueError, match="Can't locate revision") as error:
        store.open_store(f"sqlite:///{path}", "hierclf", tmp_path)
    assert "\n" not in str(error.value)


def test_a_database_without_its_driver_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed: ") as error:
        store.open_store("mysql+nodriver://x/y", "hierclf", tmp_path)
    assert "\n" not in str(error.value)
