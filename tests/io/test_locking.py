"""Claims about the file lock between processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hierclf.io.atomic import locked

HOLDER = """
import sys, time
from pathlib import Path
from hierclf.io.atomic import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def start_holder(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_lock_waits_for_its_holder_and_a_dead_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = start_holder(path)
    entered = threading.Event()

    def enter() -> None:
        with locked(path):
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    try:
        assert not entered.wait(0.3)
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    assert entered.wait(10)
    waiting.join()


def test_threads_enter_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most = 0

    def work(i: int) -> None:
        nonlocal most
        with locked(tmp_path / "lock"):
            inside.append(i)
            most = max(most, len(inside))
            time.sleep(0.01)
            inside.remove(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_an_error_inside_lets_the_lock_go_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "lock"
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inside"), locked(path):
            raise RuntimeError("inside")
    assert path.is_file()
