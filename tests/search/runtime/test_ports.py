"""Who can reach a search on one machine: none from the network, and on it who has its token."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
import ray
from ray.tune.callback import Callback

from tests.searches import Place, run_trials

pytestmark = pytest.mark.slow


class Port(NamedTuple):
    """What listens, and where."""

    process: str
    address: str


class Listening(Callback):
    """Notes, at every report of a trial, the open ports of this process and its children."""

    def __init__(self) -> None:
        self.ports: set[Port] = set()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict, **info: Any
    ) -> None:
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                name = process.name()
                self.ports |= {
                    Port(name, found.laddr.ip.removeprefix("::ffff:"))
                    for found in process.net_connections("inet")
                    if found.status == psutil.CONN_LISTEN
                }


def test_a_search_on_one_machine_listens_on_loopback_only(
    place: Place, tmp_path: Path, started_ray: None
) -> None:
    listening = Listening()
    run_trials(place, tmp_path, listening, epochs=1)
    assert {"gcs_server", "raylet"} <= {port.process for port in listening.ports}
    assert {port.address for port in listening.ports} == {"127.0.0.1"}, listening.ports


JOIN = """
import sys
import ray
ray.init(address=sys.argv[1])
"""


@pytest.mark.parametrize(
    "key",
    [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "guessed" * 5}],
    ids=["no token", "a wrong one"],
)
def test_who_has_not_the_token_is_not_let_in(started_ray: None, key: dict[str, str]) -> None:
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", JOIN, address],
        capture_output=True,
        text=True,
        env=os.environ | key | {"RAY_NUM_REDIS_GET_RETRIES": "1"},
        check=False,
    )
    assert done.returncode != 0
    assert "Unauthenticated" in done.stderr


def test_the_dashboard_answers_nobody_without_the_token(started_ray: None) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(os.environ["RAY_API_SERVER_ADDRESS"] + "/api/jobs/")
    assert refused.value.code == 401
