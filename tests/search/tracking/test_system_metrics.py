"""Claims about measurements of the machine, in a real store and with a server that is gone."""

import time
from pathlib import Path

import mlflow
import pytest

from search.tracking import store
from search.tracking.system_metrics import system_metrics


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")


def test_a_run_gets_the_machines_state_while_the_block_runs_and_its_own_status_stays(
    mlflow_uri: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    before = mlflow.get_tracking_uri()
    experiment = store.open_store(mlflow_uri, "machine", tmp_path / "mlartifacts")
    client = store.connect(mlflow_uri)
    run_id = client.create_run(experiment).info.run_id
    for least in (1, 2):  # the second time as after --resume
        with system_metrics(mlflow_uri, run_id, resumed=least > 1):
            until = time.monotonic() + 20
            while time.monotonic() < until:
                run = client.get_run(run_id)
                if len(client.get_metric_history(run_id, "system/cpu_utilization_percentage")) >= (
                    least
                ):
                    break
                time.sleep(0.1)
        history = client.get_metric_history(run_id, "system/cpu_utilization_percentage")
        assert len(history) >= least
        assert all(0 <= point.value <= 100 for point in history)
        assert len({point.step for point in history}) == len(history)
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert mlflow.get_tracking_uri() == before
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_gone_delays_the_end_by_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("search.tracking.system_metrics.PATIENCE_S", 0.5)
    begun = time.monotonic()
    with system_metrics("http://127.0.0.1:9", "0" * 32, resumed=False):
        time.sleep(0.3)
    assert time.monotonic() - begun < 5
    assert capfd.readouterr() == ("", "")
