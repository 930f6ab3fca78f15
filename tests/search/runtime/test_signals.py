"""How a process ends on Ctrl-C and SIGTERM, the first and the second time."""

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


def start(last: float) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(last=last)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143)])
def test_the_first_signal_ends_in_order(number: signal.Signals, code: int) -> None:
    process = start(0.0)
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "ending\nended\n"
    assert process.returncode == code  # Python dies by the SIGINT that nobody catches


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
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
