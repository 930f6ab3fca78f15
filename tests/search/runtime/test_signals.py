"""How a process ends on Ctrl-C, SIGTERM and SIGHUP, the first and the second time."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import time
from search.runtime.signals import end_on_signals
end_on_signals()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    print("ending", flush=True)
    time.sleep({last})
    print("ended", flush=True)
"""


def start(last: float, *, nohup: bool = False) -> subprocess.Popen:
    process = subprocess.Popen(
        [*(["nohup"] if nohup else []), sys.executable, "-c", SCRIPT.format(last=last)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_the_first_signal_ends_in_order(number: signal.Signals, code: int) -> None:
    process = start(0.0)
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "ending\nended\n"
    assert process.returncode == code  # Python dies by the SIGINT that nobody catches


def test_a_lost_connection_does_not_end_what_nohup_started() -> None:
    process = start(0.0, nohup=True)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[0] == "ending\nended\n"
    assert process.returncode == 143


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_at_once(
    first: signal.Signals, second: signal.Signals, code: int
) -> None:
    process = start(60.0)
    process.send_signal(first)
    assert process.stdout is not None
    assert process.stdout.readline() == "ending\n"
    process.send_signal(second)
    assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == code
