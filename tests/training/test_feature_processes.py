"""Claims about features that several processes of a machine compute."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hierclf.data.cache import ImageCache, open_cache
from hierclf.training import feature_processes
from hierclf.training.feature_processes import devices_for
from hierclf.training.feature_shards import Shard
from tests.frozen_features import banks, config_of, open_features, stop_after, write_weights
from tests.layouts import make_source


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "w.safetensors")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageCache:
    """Twelve images; with two augmented views, nine shards, each worth a process."""
    monkeypatch.setattr("hierclf.training.feature_shards.SHARD_IMAGES", 5)
    monkeypatch.setattr("hierclf.training.feature_processes.IMAGES_A_PROCESS", 1)
    return open_cache(make_source(shape=(20, 20)), size=None, directory=tmp_path)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> "list[subprocess.Popen[bytes]]":
    """The processes that were started."""
    processes: list[subprocess.Popen[bytes]] = []
    start = feature_processes._start

    def watch() -> "subprocess.Popen[bytes]":
        processes.append(start())
        return processes[-1]

    monkeypatch.setattr(feature_processes, "_start", watch)
    return processes


def test_two_processes_go_on_where_one_stopped_and_end_with_its_bytes(
    tmp_path: Path, cache: ImageCache, weights: Path, started: "list[subprocess.Popen[bytes]]"
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a process of two has on two cores
    try:
        expected = np.array(open_features(cache, config_of(weights), tmp_path / "whole"))
        with pytest.raises(KeyboardInterrupt):
            open_features(cache, config_of(weights), tmp_path, stop_after(9))
        assert not started
        done: list[int] = []
        found = open_features(
            cache,
            config_of(weights),
            tmp_path,
            lambda now, total: done.append(now),
            workers=2,
        )
    finally:
        torch.set_num_threads(threads)
    assert found.tobytes() == expected.tobytes()
    assert len(started) == 2
    assert len(done) == 7  # of nine shards, two were there
    assert done[-1] == 36
    assert all(process.returncode is not None for process in started)


KILLED = "import os; os.kill(os.getpid(), 9)"
FAILS = "print('next', flush=True); input(); print('error {} the disk is gone', flush=True)"


@pytest.mark.parametrize(
    ("program", "error", "match"),
    [
        (KILLED, ChildProcessError, "^one of 2 processes .* was killed by signal 9, for want of"),
        ("raise SystemExit(3)", ChildProcessError, "^one of 2 processes .* ended with code 3, "),
        (FAILS.format("ValueError"), ValueError, "^the disk is gone$"),
        (FAILS.format("OSError"), OSError, "^the disk is gone$"),
        (FAILS.format("OutOfMemoryError"), RuntimeError, "^the disk is gone$"),
    ],
    ids=["killed", "ended", "ValueError", "OSError", "other"],
)
def test_a_process_that_fails_is_one_line_and_leaves_what_is_written(
    tmp_path: Path,
    cache: ImageCache,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    error: type[Exception],
    match: str,
) -> None:
    expected = np.array(open_features(cache, config_of(weights), tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        open_features(cache, config_of(weights), tmp_path, stop_after(9))
    # One of the two ends by itself, the other would never: it has nothing to do.
    programs = iter([program, "import time; time.sleep(600)"])
    processes: list[subprocess.Popen[bytes]] = []
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", next(programs)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        processes.append(popen(command, **pipes))
        return processes[-1]

    monkeypatch.setattr(feature_processes, "_start", start)
    with pytest.raises(error, match=match) as found:
        open_features(cache, config_of(weights), tmp_path, workers=2)
    assert "\n" not in str(found.value)
    assert all(process.returncode is not None for process in processes)
    assert banks(tmp_path) == []
    done: list[int] = []
    bank = open_features(cache, config_of(weights), tmp_path, lambda now, _: done.append(now))
    assert bank.tobytes() == expected.tobytes()
    assert done[0] > 10


@pytest.mark.parametrize(
    ("device", "at_most", "expected"),
    [
        ("cuda", None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", 2, ["cuda:0", "cuda:1"]),
        ("cuda", 1, ["cuda"]),
        ("cuda", 4, ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]),
        ("cuda:1", None, ["cuda:1"]),
        ("cpu", None, ["cpu"]),
        ("cpu", 2, ["cpu", "cpu"]),
    ],
)
def test_cuda_is_a_process_for_each_gpu_and_everything_else_one_device(
    cache: ImageCache,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    at_most: int | None,
    expected: list[str],
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    shards = [Shard(number, 0, slice(number, number + 1)) for number in range(12)]
    assert isinstance(cache.images, np.ndarray)
    found = devices_for(shards, cache.images, torch.device(device), at_most=at_most)
    assert [str(each) for each in found] == expected


def test_images_in_memory_and_few_images_are_computed_here(
    tmp_path: Path,
    cache: ImageCache,
    weights: Path,
    started: "list[subprocess.Popen[bytes]]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_memory = replace(cache, images=np.array(cache.images))
    open_features(in_memory, config_of(weights), tmp_path / "memory", workers=2)
    monkeypatch.setattr("hierclf.training.feature_processes.IMAGES_A_PROCESS", 19)
    open_features(cache, config_of(weights), tmp_path / "few", workers=2)
    assert not started
