"""Start Ray or join a cluster, and divide its resources among trials before any trial starts."""

import logging
import os
import secrets
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import ray
from ray.util.state import list_actors

from hierclf.errors import one_line
from search.runtime.ray_folder import choose_ray_folder
from search.trials.plan import Plan

_TRIES = 3
_LATE = ("timed out", "dashboard.log")  # Ray 2.51 names the second if its dashboard is late
_OTHER_TOKEN = "Failed to start GCS"
MAX_CPU_TRIALS = 4
"""The most trials that run at a time without GPUs; further cores make each trial faster."""


def start_ray(address: str | None) -> None:
    """Join the cluster at `address`, or start Ray on this machine, bound to loopback.

    Raises:
        ValueError: no cluster answers at `address`, or one of other versions, or Ray's state
            service does not answer.
    """
    warnings.filterwarnings("ignore", module="ray")
    # A resumed trial reports its epochs again.
    warnings.filterwarnings("ignore", message="The reported value is ignored", module="optuna")
    logging.getLogger("ray").setLevel(logging.ERROR)
    # A failed trial is reported in one line; its traceback is in Tune's folder of the trial.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _ask_loopback_without_proxy()
    try:
        if address is None:
            _start_here()
        else:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # ConnectionError, ValueError or a plain Exception
        reason = one_line(error)[:300]
        if reason.startswith("Version mismatch"):
            what = "a cluster must have this process's versions of Ray and Python, but has others"
            raise ValueError(f"{what}: {reason}") from None
        what = (
            "Ray must start on this machine, but it did not"
            if address is None
            else f"--address must name a running Ray cluster, but got {address}"
        )
        raise ValueError(f"{what}: {reason}") from None
    try:
        list_actors(limit=1)
    except Exception as error:  # several kinds of client errors; each means that it is unreachable
        raise ValueError(
            "Ray's state service must answer, or stopped trials would not free their resources; "
            f"install ray[default] and start the head node with its dashboard ({error})"
        ) from None


@contextmanager
def ray_left_at_the_end() -> Iterator[None]:
    """At the end of the block, stop the Ray that it started, or leave the cluster that it joined.

    Raises:
        ValueError: Ray is already running in this process.
    """
    if ray.is_initialized():
        raise ValueError(
            "a search must start or join Ray itself, but Ray is already running in this process: "
            "call ray.shutdown() first"
        )
    try:
        yield
    finally:
        ray.shutdown()


def _ask_loopback_without_proxy() -> None:
    """Add this machine's own addresses to `no_proxy`, since a proxy cannot reach them."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = dict.fromkeys(filter(None, [*named.split(","), "127.0.0.1", "localhost"]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)


def _start_here() -> None:
    """Start Ray on this machine; retry if it starts too slowly because the machine is busy."""
    _let_workers_import_this()
    choose_ray_folder()
    # Ray runs its workers with the niceness 15, to favour its own processes: beside two busy
    # programs, a trial then gets 4 % of a core. Workers inherit the user's own niceness anyway.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Otherwise Ray keeps a token in a file of the home folder that other users may read.
    given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if not given:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    for left in reversed(range(_TRIES)):
        port = _free_port()
        # Other Ray instances may run on this machine, so this names the state service that every
        # process of this instance must ask. Ray's own search would find several and use none.
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{port}"
        try:
            ray.init(
                address="local",
                # Ray Train frees a stopped trial's resources through the dashboard's state service.
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                dashboard_port=port,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return
        except Exception as error:
            if not given and _OTHER_TOKEN in str(error):
                _keep_first_token()
            elif not any(words in str(error) for words in _LATE):
                raise
            if not left:
                raise
            ray.shutdown()


def _keep_first_token() -> None:
    """Let Ray's processes read the token that this one read when it started Ray by itself.

    A process keeps the first token that it reads, and its own Ray refuses it with another.
    """
    file = Path.home() / ".ray" / "auth_token"
    if file.is_file():
        file.chmod(0o600)  # Ray lets others read it
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(file)
    del os.environ["RAY_AUTH_TOKEN"]


def _let_workers_import_this() -> None:
    """Let Ray's processes, which inherit this environment, import the same packages."""
    root, paths = str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")
    if root not in (paths or "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, paths]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plan_resources(
    *,
    cpus: float,
    available_gpus: float,
    gpus: int | None,
    gpus_per_trial: float,
    workers_per_trial: int,
    n_trials: int,
) -> Plan:
    """Divide the resources of the cluster among trials.

    Args:
        cpus, available_gpus: resources of the whole cluster.
        gpus: how many GPUs to use; None uses all, 0 trains on CPUs.
        gpus_per_trial: a whole number gives a trial one worker per GPU; with a fraction below 1,
            several trials of one worker share a GPU. Must be 1 without GPUs.
        workers_per_trial: data-parallel workers of a trial without GPUs; must be 1 with GPUs.
        n_trials: the most trials that run at a time.

    Raises:
        ValueError: a trial could never start, or an option does not apply.
    """
    gpus = _gpus_to_use(available_gpus, gpus)
    if gpus:
        _check_gpus_per_trial(gpus, gpus_per_trial, workers_per_trial)
        workers, fraction = max(1, int(gpus_per_trial)), min(float(gpus_per_trial), 1.0)
        trials_per_gpu = int(1 / fraction + 1e-9)  # 1 / 0.05 is a little less than 20
        possible = gpus * trials_per_gpu // workers
        option = "--gpus-per-trial"
    else:
        if gpus_per_trial != 1:
            raise ValueError(
                f"--gpus-per-trial must be left out without GPUs, but got {gpus_per_trial:g}; "
                "--workers-per-trial trains data-parallel on CPUs"
            )
        workers, fraction = workers_per_trial, 1.0
        possible = min(int(cpus) // workers, MAX_CPU_TRIALS)
        option = "--workers-per-trial"
    if workers > cpus:
        raise ValueError(
            f"{option} must be at most the number of CPU cores ({int(cpus)}), but got {workers}"
        )
    at_a_time = max(1, min(possible, int(cpus) // workers, n_trials))
    cpus_per_worker = max(1, int(cpus) // (at_a_time * workers))
    return Plan(at_a_time, workers, gpus > 0, cpus_per_worker, gpus, fraction)


def _gpus_to_use(available: float, gpus: int | None) -> int:
    if gpus is None:
        return int(available)
    if gpus > available:
        raise ValueError(
            f"--gpus must be at most {int(available)} (what Ray sees), but got {gpus}; "
            "leave it out to use what there is"
        )
    return gpus


def _check_gpus_per_trial(gpus: int, gpus_per_trial: float, workers_per_trial: int) -> None:
    if gpus_per_trial > 1 and gpus_per_trial != int(gpus_per_trial):
        raise ValueError(
            "--gpus-per-trial must be a whole number or a fraction below 1, "
            f"but got {gpus_per_trial:g}"
        )
    if gpus_per_trial > gpus:
        raise ValueError(
            f"--gpus-per-trial must be at most --gpus ({gpus}), but got {gpus_per_trial:g}"
        )
    if workers_per_trial != 1:
        raise ValueError(
            f"--workers-per-trial must be left out with GPUs, but got {workers_per_trial}; "
            "a trial has one worker per GPU, see --gpus-per-trial"
        )
