"""Claims about the file lock between processes."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from hierclf.io.locks import lock_now, locked, owner_in

HOLDER = """
import sys, time
from pathlib import Path
from hierclf.io.locks import locked
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


def test_a_lock_is_refused_at_once_while_another_process_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = start_holder(path)
    path.write_text("process 7\n")
    with path.open("a+") as file:
        try:
            assert not lock_now(file)
            assert owner_in(file) == "process 7"
        finally:
            os.kill(holder.pid, signal.SIGKILL)
            holder.communicate()
        assert lock_now(file)
    with path.open() as file:  # closing let it go
        assert lock_now(file)


def test_asking_whether_a_lock_is_held_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    asking = threading.Event()

    def ask() -> None:
        with path.open() as file:
            assert lock_now(file)
            asking.set()
            time.sleep(0.03)

    thread = threading.Thread(target=ask)
    with path.open("a+") as file:
        thread.start()
        assert asking.wait(10)
        assert lock_now(file)
    thread.join()


def flock_fails(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The answer of a file system, which filelock asks by this function."""

    def call(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", call)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    flock_fails(monkeypatch, code)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in "ab":
            with locked(tmp_path / name):
                pass
    (warning,) = caught
    assert f"the file system of {tmp_path} has no locks" in str(warning.message)


def test_a_lock_that_fails_otherwise_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock_fails(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output") as error, locked(tmp_path / "a"):
        pass
    assert error.value.filename == str(tmp_path / "a")
