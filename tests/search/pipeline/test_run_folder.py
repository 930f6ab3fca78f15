"""The run folder: files are whole or not there, and seconds add up."""

import errno
from pathlib import Path

import pandas as pd
import pytest

from hierclf.data.cache import open_cache
from hierclf.io import atomic
from search.pipeline import run_folder
from search.pipeline.run_folder import RunFolder, read_json
from tests.layouts import make_source, with_bytes


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    return RunFolder(tmp_path / "runs" / "a")


def test_the_path_is_absolute_whatever_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunFolder(Path("results/runs/a")).path == tmp_path / "results" / "runs" / "a"


def test_json_is_read_back_with_names_in_any_script(folder: RunFolder) -> None:
    content = {"class": "Pêche", "value": None, "rule": {"tau": -0.5}}
    folder.write_json(folder.summary, content)
    assert read_json(folder.summary) == content
    assert "Pêche" in folder.summary.read_text(encoding="utf-8")


def test_a_write_that_fails_leaves_the_old_file_whole(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_json(folder.best, {"lr": 1})

    def broken_disk(file: int) -> None:
        raise OSError(errno.EIO, "a broken disk")

    monkeypatch.setattr(atomic.os, "fsync", broken_disk)
    with pytest.raises(OSError, match="a broken disk"):
        folder.write_json(folder.best, {"lr": 2})
    assert read_json(folder.best) == {"lr": 1}


def test_a_table_is_written_as_parquet_and_as_csv(folder: RunFolder) -> None:
    table = pd.DataFrame({"trial_id": ["a", "b"], "objective": [0.5, None]})
    folder.write_table(folder.trials, table)
    pd.testing.assert_frame_equal(pd.read_parquet(folder.trials), table)
    pd.testing.assert_frame_equal(pd.read_csv(folder.path / "trials.csv"), table)


def test_a_run_lists_the_images_that_are_left_out_and_those_that_are_there_twice(
    folder: RunFolder, tmp_path: Path
) -> None:
    source = make_source()
    first = source.read(1)
    assert isinstance(first, bytes)
    damaged = with_bytes(source, {2: b"", 5: first})
    folder.list_images(open_cache(damaged, size=None, directory=tmp_path, max_bad_share=0.5))
    left_out = pd.read_csv(folder.path / "quarantine.csv").to_numpy().tolist()
    assert left_out == [["2.png", "the file is empty (0 bytes)"]]
    assert pd.read_csv(folder.path / "repeats.csv").to_numpy().tolist() == [["5.png", "1.png"]]


def test_seconds_add_up_over_the_times_a_stage_was_taken_up(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr(run_folder.time, "monotonic", lambda: next(clock))
    with pytest.raises(ValueError, match="stopped"), folder.timed("search"):
        raise ValueError("stopped")
    assert folder.timings() == {"search": 2.0}
    with RunFolder(folder.path).timed("search"):
        pass
    assert folder.timings() == {"search": 5.0}


def test_a_run_that_has_not_begun_took_no_time(folder: RunFolder) -> None:
    assert folder.timings() == {}


def test_a_model_takes_the_place_of_an_earlier_one(folder: RunFolder, tmp_path: Path) -> None:
    for name in ("old", "new"):
        source = tmp_path / name
        source.mkdir()
        (source / f"{name}.json").write_text(name)
        folder.take_model(source)
    assert [path.name for path in folder.model.iterdir()] == ["new.json"]
    assert (tmp_path / "new" / "new.json").is_file()
    assert sorted(path.name for path in folder.path.iterdir()) == ["model"]
