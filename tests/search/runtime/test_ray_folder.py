"""Claims about the folder that Ray works in."""

import os
from pathlib import Path

import pytest

from search.runtime import ray_folder
from search.runtime.ray_folder import choose_ray_folder


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back


def test_a_short_folder_of_ones_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_folder, "_SHORT", tmp_path)
    monkeypatch.setattr(ray_folder, "_MOST_BYTES", len(str(tmp_path)))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    choose_ray_folder()
    assert os.environ["RAY_TMPDIR"] == ""


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_path_gives_way_to_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setenv(variable, str(long))
    with pytest.warns(UserWarning, match="too many for Ray's sockets"):
        choose_ray_folder()
    short = f"/tmp/hierclf-{os.getuid()}"
    assert os.environ["RAY_TMPDIR"] == short
    assert os.environ["TMPDIR"] == (short if variable == "TMPDIR" else "")


def test_a_folder_that_is_not_there_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/no/such")
    with pytest.warns(UserWarning, match="/no/such does not exist"):
        choose_ray_folder()
    assert Path(os.environ["RAY_TMPDIR"]).is_dir()


def test_a_ray_folder_of_another_user_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray").mkdir()
    monkeypatch.setattr(ray_folder, "_SHORT", tmp_path)
    monkeypatch.setattr(ray_folder, "_MOST_BYTES", 200)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / "ray")
    with pytest.warns(UserWarning, match="ray is not writable"):
        choose_ray_folder()
    assert os.environ["RAY_TMPDIR"] == str(tmp_path / f"hierclf-{os.getuid()}")


def test_no_folder_that_serves_is_one_line_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_folder, "_SHORT", tmp_path)
    monkeypatch.setattr(ray_folder, "_MOST_BYTES", 5)
    with pytest.raises(ValueError, match=r"at most 5 bytes long.*name one with RAY_TMPDIR"):
        choose_ray_folder()
