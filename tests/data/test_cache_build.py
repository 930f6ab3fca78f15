"""Claims about building the cache: interrupted, on a disk that is too small, watched."""

import json
import multiprocessing
import os
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hierclf.data import cache_build
from hierclf.data.cache import ImageCache, load_cache, open_cache
from tests.layouts import make_source, png_of, with_bytes


def _die_after_seven(directory: str, bad: dict[int, bytes], how: int) -> None:
    """Build with a state on disk after every image, and end by a signal in mid-build."""

    def stop(done: int, total: int) -> None:
        if done == 7:
            os.kill(os.getpid(), how)

    cache_build.SAVE_EVERY_S = 0.0
    open_cache(
        with_bytes(make_source(), bad),
        size=None,
        directory=Path(directory),
        max_bad_share=0.5,
        progress=stop,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("tail", [b"", b"half an image"])
def test_an_interrupted_build_goes_on_where_it_ended(tmp_path: Path, how: int, tail: bytes) -> None:
    bad = {2: b"", 9: b"text"}
    process = multiprocessing.get_context("spawn").Process(
        target=_die_after_seven, args=(str(tmp_path), bad, how)
    )
    process.start()
    process.join()
    assert process.exitcode != 0
    (left,) = (path for path in tmp_path.iterdir() if path.is_dir())
    with pytest.raises(ValueError, match="not a complete image cache"):
        load_cache(left)
    with (left / "images.u8").open("ab") as file:
        file.write(tail)  # written after the last state that is known to be on disk
    source, reads = with_bytes(make_source(), bad), list[int]()

    def read(index: int) -> Any:
        reads.append(index)
        return source.read(index)

    counting = replace(source, read=read)
    again = open_cache(counting, size=None, directory=tmp_path, max_bad_share=0.5)
    assert sorted(reads) == [6, 7, 8, 9, 10, 11]
    whole = open_cache(source, size=None, directory=tmp_path / "other", max_bad_share=0.5)
    np.testing.assert_array_equal(again.images, whole.images)
    np.testing.assert_array_equal(again.sub_labels, whole.sub_labels)
    assert again.names == whole.names
    assert again.quarantine.equals(whole.quarantine)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_an_interrupted_build_of_squares_after_all_starts_no_second_first_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = with_bytes(make_source(), {1: png_of(np.full((30, 20, 3), 7, dtype=np.uint8))})
    monkeypatch.setattr(cache_build, "SAVE_EVERY_S", 0.0)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_cache(source, size=None, directory=tmp_path, progress=stop)
    calls: list[int] = []
    cache = open_cache(
        source, size=None, directory=tmp_path, progress=lambda done, total: calls.append(done)
    )
    assert calls == list(range(5, 13))
    assert cache.images.shape == (12, 256, 256, 3)


@pytest.mark.parametrize("bad", [{0: b"", 1: b"", 2: b"", 3: b"", 4: b"", 5: b""}, {}])
def test_what_is_done_survives_a_disk_that_is_too_full_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: dict[int, bytes]
) -> None:
    monkeypatch.setattr(cache_build, "SAVE_EVERY_S", 0.0)
    source, calls = with_bytes(make_source(per_class=6), bad), list[int]()

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done == 5 and len(calls) == 5:
            raise KeyboardInterrupt

    def build() -> ImageCache:
        return open_cache(source, size=None, directory=tmp_path, max_bad_share=0.5, progress=stop)

    with pytest.raises(KeyboardInterrupt):
        build()
    if not bad:
        usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9, 100)
        with monkeypatch.context() as full:
            full.setattr(shutil, "disk_usage", lambda path: usage)
            with pytest.raises(ValueError, match=r"but 0\.00 GB are free"):
                build()
    assert len(build().images) == len(source.images) - len(bad)
    assert calls[5:] == list(range(5, len(source.images) + 1))


def test_other_data_does_not_go_on_with_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_build, "SAVE_EVERY_S", 0.0)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    source = make_source()
    with pytest.raises(KeyboardInterrupt):
        open_cache(source, size=None, directory=tmp_path, progress=stop)
    (left,) = (path for path in tmp_path.iterdir() if path.is_dir())
    state = json.loads((left / "progress.json").read_text())
    (left / "progress.json").write_text(json.dumps(state | {"fingerprint": "other"}))
    calls: list[int] = []
    open_cache(
        source, size=None, directory=tmp_path, progress=lambda done, total: calls.append(done)
    )
    assert calls == list(range(1, 13))


def test_leftovers_of_a_killed_build_are_cleared(tmp_path: Path) -> None:
    source = make_source()
    path = open_cache(source, size=None, directory=tmp_path).path
    assert path is not None
    path.rename(path.with_name(f"{path.name}.tmp"))
    assert len(open_cache(source, size=None, directory=tmp_path).images) == 12
    assert [p for p in tmp_path.iterdir() if p.is_dir()] == [path]


def test_progress_counts_every_image(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    open_cache(
        make_source(),
        size=None,
        directory=tmp_path,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(i, 12) for i in range(1, 13)]


def test_too_little_disk_space_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"needs 0\.01 GB for 12 images of 512 x 512.* 0\.00 GB"):
        open_cache(make_source(), size=512, directory=tmp_path)
    usage = usage._replace(free=12 * 3 * 100**2)
    with pytest.raises(ValueError, match=r"data\.size=97 would fit"):
        open_cache(make_source(), size=512, directory=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_disk_that_fills_up_meanwhile_leaves_no_half_cache(tmp_path: Path) -> None:
    source = make_source(shape=(64, 64))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, old[1]))
    try:
        with pytest.raises(ValueError, match=r"needs 0\.00 GB for 12 images .*but: File too large"):
            open_cache(source, size=None, directory=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"image cache in .*file.* cannot be written"):
        open_cache(make_source(), size=None, directory=tmp_path / "file")
