"""Claims about the stage that writes a run's report."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from search.pipeline import report_stage
from search.pipeline.run_folder import RunFolder
from tests.drawn_runs import cache_of, hierarchy, save_run


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(report_stage, "console", Console(file=text, width=300))
    return text


@pytest.fixture
def run(tmp_path: Path) -> Any:
    folder = RunFolder(tmp_path / "one")
    table = save_run(folder.path)
    prepared = SimpleNamespace(cache=cache_of(table, hierarchy()), novel=None)
    return SimpleNamespace(folder=folder, prepared=prepared)


def test_the_report_and_its_pictures_stand_in_the_runs_folder(
    run: Any, screen: io.StringIO
) -> None:
    report_stage.report_stage(run)
    assert "data:image/jpeg" in run.folder.report.read_text()
    assert (run.folder.path / "thumbnails.parquet").is_file()
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    "error", [RuntimeError("two\nlines"), OSError(28, "No space left"), KeyError("x")]
)
def test_a_report_that_fails_is_one_line_and_leaves_no_older_one(
    run: Any, screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(report_stage, "write_report", fail)
    run.folder.report.write_text("of an earlier start")
    report_stage.report_stage(run)
    (line,) = screen.getvalue().splitlines()
    assert line.startswith("  report.html could not be written: ")
    assert not run.folder.report.exists()
