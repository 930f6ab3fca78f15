"""What runs at the same time, counted by hand, and how Ray is started; nothing here starts it."""

import math
import os
from typing import Any

import pytest
import ray

from search.runtime import cluster
from search.runtime.cluster import Plan, plan_resources, start_ray


def plan(**given: Any) -> Plan:
    usual = {
        **{"cpus": 16, "available_gpus": 0, "gpus": None, "n_trials": 20},
        **{"gpus_per_trial": 1, "workers_per_trial": 1},
    }
    return plan_resources(**(usual | given))


def test_four_gpus_run_four_trials_with_a_quarter_of_the_cores_each() -> None:
    found = plan(available_gpus=4)
    assert found == Plan(trials_at_a_time=4, workers=1, use_gpu=True, cpus_per_worker=4, gpus=4)


def test_two_gpus_a_trial_run_half_as_many_trials_and_a_fifth_gpu_is_idle() -> None:
    assert plan(available_gpus=5, gpus_per_trial=2) == Plan(2, 2, True, 4, 5)


def test_fewer_gpus_than_there_are_can_be_asked_for() -> None:
    assert plan(available_gpus=4, gpus=1) == Plan(1, 1, True, 16, 1)


def test_a_gpu_machine_trains_on_cores_when_told_to() -> None:
    assert plan(available_gpus=4, gpus=0) == Plan(4, 1, False, 4, 0)


def test_two_cores_run_two_trials_of_one_core_or_one_of_two() -> None:
    assert plan(cpus=2) == Plan(2, 1, False, 1, 0)
    assert plan(cpus=2, workers_per_trial=2) == Plan(1, 2, False, 1, 0)


def test_three_cores_leave_one_idle_for_one_trial_of_two_workers() -> None:
    assert plan(cpus=3, workers_per_trial=2) == Plan(1, 2, False, 1, 0)


def test_few_cores_hold_back_trials_on_many_gpus() -> None:
    assert plan(cpus=2, available_gpus=8) == Plan(2, 1, True, 1, 8)


def test_many_cores_make_trials_faster_rather_than_more() -> None:
    assert plan(cpus=64) == Plan(4, 1, False, 16, 0)


@pytest.mark.parametrize("n_trials", [1, 2, 3])
@pytest.mark.parametrize("gpus", [0, 4])
def test_no_more_run_at_a_time_than_there_are_trials(n_trials: int, gpus: int) -> None:
    found = plan(available_gpus=4, gpus=gpus, n_trials=n_trials)
    assert found.trials_at_a_time == n_trials
    assert found.cpus_per_worker == 16 // n_trials


@pytest.mark.parametrize("cpus", [1, 2, 3, 7, 16, 96])
@pytest.mark.parametrize("gpus", [0, 1, 3, 8])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_plan_never_takes_more_than_there_is(cpus: int, gpus: int, workers: int) -> None:
    option = "gpus_per_trial" if gpus else "workers_per_trial"
    given: dict[str, Any] = {"cpus": cpus, "available_gpus": gpus, option: workers}
    if workers > cpus or (gpus and workers > gpus):
        with pytest.raises(ValueError, match=f"--{option.replace('_', '-')} must be at most"):
            plan(**given)
        return
    found = plan(**given)
    running = found.trials_at_a_time * found.workers
    assert running * found.cpus_per_worker <= cpus
    assert running <= found.gpus or not gpus


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"gpus": 4},
            "--gpus must be at most 0 (what Ray sees), but got 4; leave it out to use what there "
            "is",
        ),
        (
            {"available_gpus": 4, "gpus": 2, "gpus_per_trial": 3},
            "--gpus-per-trial must be at most --gpus (2), but got 3",
        ),
        (
            {"cpus": 2, "workers_per_trial": 3},
            "--workers-per-trial must be at most the number of CPU cores (2), but got 3",
        ),
        (
            {"cpus": 2, "available_gpus": 4, "gpus_per_trial": 3},
            "--gpus-per-trial must be at most the number of CPU cores (2), but got 3",
        ),
    ],
)
def test_a_plan_that_could_never_start_is_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match="must be at most") as caught:
        plan(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(("fraction", "trials"), [(0.5, 4), (0.3, 6), (0.25, 8), (0.05, 16)])
def test_small_trials_share_gpus_and_never_take_more_than_there_are(
    fraction: float, trials: int
) -> None:
    found = plan(available_gpus=2, gpus_per_trial=fraction, n_trials=100)
    assert found == Plan(trials, 1, True, 16 // trials, 2, fraction)
    assert math.ceil(found.trials_at_a_time / math.floor(1 / fraction + 1e-9)) <= 2


@pytest.mark.parametrize("gpus_per_trial", [0.5, 2])
@pytest.mark.parametrize("resources", [{"available_gpus": 4, "gpus": 0}, {"available_gpus": 0}])
def test_gpus_per_trial_are_refused_without_gpus(
    gpus_per_trial: float, resources: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="left out without GPUs") as caught:
        plan(gpus_per_trial=gpus_per_trial, **resources)
    assert str(caught.value) == (
        f"--gpus-per-trial must be left out without GPUs, but got {gpus_per_trial:g}; "
        "--workers-per-trial trains data-parallel on CPUs"
    )


def test_workers_per_trial_are_refused_with_gpus() -> None:
    with pytest.raises(ValueError, match="left out with GPUs, but got 2; a trial has one worker"):
        plan(available_gpus=4, workers_per_trial=2)
    assert plan(available_gpus=4, gpus=0, workers_per_trial=2) == Plan(4, 2, False, 2, 0)


def test_between_one_and_two_gpus_a_trial_there_is_nothing() -> None:
    with pytest.raises(ValueError, match=r"whole number or a fraction below 1, but got 1\.5"):
        plan(available_gpus=4, gpus_per_trial=1.5)


def test_a_plan_reads_like_a_sentence() -> None:
    assert (
        plan(cpus=2).describe() == "2 trials at a time, 1 worker per trial, 1 CPU core per worker"
    )
    assert plan(available_gpus=4, gpus_per_trial=4).describe() == (
        "1 trial at a time, 4 workers per trial, 4 CPU cores and 1 GPU per worker"
    )
    assert plan(available_gpus=1, gpus_per_trial=0.5).describe() == (
        "2 trials at a time, 1 worker per trial, 8 CPU cores and 0.5 GPU per worker"
    )


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what starting Ray sets."""
    for name in ("no_proxy", "NO_PROXY", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    monkeypatch.setattr(cluster, "list_actors", lambda limit: [])


def late(monkeypatch: pytest.MonkeyPatch, times: int, what: str) -> list[int]:
    """Let Ray fail to start that many times; the ports that it was given."""
    ports: list[int] = []

    def init(*, dashboard_port: int, **_: object) -> None:
        ports.append(dashboard_port)
        if len(ports) <= times:
            raise Exception(what)

    monkeypatch.setattr(ray, "init", init)
    return ports


@pytest.mark.usefixtures("environment")
def test_ray_that_comes_up_too_late_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = late(monkeypatch, 2, "The current node timed out during startup.")
    start_ray(None)
    assert len(ports) == 3


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("what", "tries"),
    [
        ("The current node timed out\nduring startup", 3),
        ("The last 20 lines of /tmp/ray/logs/dashboard.log", 3),
        ("no such host", 1),
    ],
)
def test_ray_that_does_not_start_is_one_line(
    monkeypatch: pytest.MonkeyPatch, what: str, tries: int
) -> None:
    ports = late(monkeypatch, 9, what)
    with pytest.raises(ValueError, match="Ray must start on this machine, but it did not") as error:
        start_ray(None)
    assert "\n" not in str(error.value)
    assert len(ports) == tries


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("named", "kept"),
    [("", "127.0.0.1,localhost"), ("a.b,127.0.0.1", "a.b,127.0.0.1,localhost")],
)
def test_loopback_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, named: str, kept: str
) -> None:
    monkeypatch.setenv("NO_PROXY", named)
    monkeypatch.setenv("no_proxy", "")
    late(monkeypatch, 0, "")
    start_ray(None)
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == kept
