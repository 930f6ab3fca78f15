"""A file or folder is whole under its name, or not there under it."""

import errno
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hierclf.io import atomic
from hierclf.io.atomic import draft_of


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_no_draft_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with draft_of(tmp_path / "a") as draft:
        draft.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path) == ["a"]


def test_a_folder_takes_the_place_of_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with draft_of(tmp_path / "a") as draft:
        (draft / "inner").mkdir(parents=True)
        (draft / "inner" / "new").touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["inner"]


@pytest.mark.parametrize("folder", [False, True])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, folder: bool) -> None:
    (tmp_path / "a").write_text("old")

    def write(draft: Path) -> None:
        if folder:
            draft.mkdir()
        (draft / "b" if folder else draft).write_text("half")
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"), draft_of(tmp_path / "a") as draft:
        write(draft)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_the_content_is_on_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, names(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with draft_of(tmp_path / "a") as draft:
        draft.write_text("new")
    part = f".a.{os.getpid()}.part"
    assert seen == [(part, [part]), (tmp_path.name, ["a"])]


def test_a_full_disk_names_the_file_what_it_needs_and_what_is_free(tmp_path: Path) -> None:
    def write(draft: Path) -> None:
        draft.write_bytes(bytes(2_500_000))
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="no space left") as error, draft_of(tmp_path / "a") as draft:
        write(draft)
    assert error.value.filename == str(tmp_path / "a")
    assert "more than 2.5 MB needed" in str(error.value)
    with pytest.raises(OSError, match=r" 7\.0 MB needed"), draft_of(tmp_path / "a", need=7_000_000):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


@pytest.fixture(autouse=True)
def warned_anew() -> Iterator[None]:
    atomic.warn_once.cache_clear()
    yield
    atomic.warn_once.cache_clear()


def raising(code: int) -> Any:
    def call(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_syncs_no_folders_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in "ab":
            with draft_of(tmp_path / name) as draft:
                draft.write_text("new")
    assert names(tmp_path) == ["a", "b"]
    (warning,) = caught
    assert "cannot sync folders" in str(warning.message)


def test_a_file_that_cannot_be_synced_is_an_error_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))
    with pytest.raises(OSError, match="Input/output") as error, draft_of(tmp_path / "a") as draft:
        draft.write_text("new")
    assert error.value.filename.endswith(".part")
