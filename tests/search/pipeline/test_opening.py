"""A run's folder: created once, owned by one process at a time, freed by whatever ends it."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hierclf.config import Config
from search.pipeline import opening
from search.pipeline.opening import existing_run, new_run
from search.pipeline.options import RunOptions

OPTIONS = RunOptions(gpus=0, time_budget=60.0)
OWNER = """
import sys, time
from pathlib import Path
from hierclf.config import Config
from search.pipeline.opening import new_run
from search.pipeline.options import RunOptions

with new_run(Config(), name="one", results=Path(sys.argv[1]), options=RunOptions()):
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_run_is_opened_with_what_it_was_created_with(tmp_path: Path) -> None:
    config = Config().with_values({"train.lr": 0.5})
    with new_run(config, name="one", results=tmp_path, options=OPTIONS) as (folder, kept):
        assert kept == config
        assert folder.path == tmp_path / "runs" / "one"
    with existing_run("one", results=tmp_path, address="auto", take_over=True) as (
        again,
        read,
        options,
    ):
        assert again.path == folder.path
        assert read == config
        assert options == RunOptions(gpus=0, time_budget=60.0, address="auto", take_over=True)


def test_paths_are_kept_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data 😀", "new", "a.pth", "b.pth"):
        (tmp_path / name).mkdir()
    tree = Config().model_dump()
    tree["data"]["path"], tree["model"]["weights"] = "data 😀", "a.pth"
    tree["data"]["novel"] = "new"
    tree["search"]["space"] = {"model.weights": {"choices": ["a.pth", "b.pth", "default"]}}
    with new_run(
        Config.model_validate(tree), name="one", results=Path("results"), options=OPTIONS
    ) as (_, config):
        assert config.data.path == str(tmp_path / "data 😀")
        assert config.data.novel == str(tmp_path / "new")
        assert config.model.weights == str(tmp_path / "a.pth")
        choices = (str(tmp_path / "a.pth"), str(tmp_path / "b.pth"), "default")
        assert config.tried("model.weights") == choices
    with existing_run("one", results=Path("results"), address=None, take_over=False) as (
        _,
        read,
        _options,
    ):
        assert read == config


def test_a_second_process_is_told_which_one_has_the_run(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "open\n"
    with (
        pytest.raises(ValueError, match=f"in use by process {owner.pid} on .*, since 2"),
        existing_run("one", results=tmp_path, address=None, take_over=False),
    ):
        pass
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    with existing_run("one", results=tmp_path, address=None, take_over=False) as (
        folder,
        _,
        _options,
    ):
        assert folder.path.is_dir()


def test_runs_without_a_name_may_start_in_the_same_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(opening.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2030, 1, 2, 3, 4, 5)

    monkeypatch.setattr(opening, "datetime", Stopped)
    names = []
    for _ in range(3):
        with new_run(Config(), name=None, results=tmp_path, options=OPTIONS) as (folder, _config):
            names.append(folder.path.name)
    assert names == ["20300102-030405", "20300102-030405-2", "20300102-030405-3"]


def test_a_name_that_is_taken_is_refused_and_a_failed_start_leaves_its_name_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(opening.yaml, "safe_dump", fail)
        with (
            pytest.raises(OSError, match="no"),
            new_run(Config(), name="one", results=tmp_path, options=OPTIONS),
        ):
            pass
    with new_run(Config(), name="one", results=tmp_path, options=OPTIONS):
        pass
    with (
        pytest.raises(ValueError, match=r"--name must be new.*resume it with --resume one"),
        new_run(Config(), name="one", results=tmp_path, options=OPTIONS),
    ):
        pass


def test_options_of_another_version_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text('{"gpus": 0, "turbo": true}')
    with pytest.raises(ValueError, match=r"options\.json must hold .* only, but got \['turbo'\]"):
        RunOptions.read(tmp_path / "options.json")
