"""A wrong command is refused in one line, before anything is started and without a trace."""

import json
import sys
from pathlib import Path

import pytest

from hierclf.data.sources import is_demo
from tests.layouts import ROWS, release
from tests.searches import ROOT, TUNE, Ended, execute, tune

# Runs several commands in one process, as importing torch, Ray and MLflow takes seconds.
MANY = """
import contextlib, io, json, sys
from search.tune import app

for words in json.loads(sys.argv[1]):
    sys.argv = ["tune.py", *words]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(prog_name="tune.py")
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def refused(ended: Ended) -> str:
    """The one line that a command was refused in."""
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err + ended.out
    (line,) = ended.err.splitlines()
    assert line.startswith("tune.py: error: ")
    return line.removeprefix("tune.py: error: ")


@pytest.mark.parametrize(
    ("option", "words"), [("--nope", "No such option"), ("--gpus", "valid int")]
)
def test_a_wrong_option_is_a_usage_error(tmp_path: Path, option: str, words: str) -> None:
    ended = tune(option, "x", "--results", tmp_path / "results", cache=tmp_path / "cache")
    assert ended.code == 2
    usage, *_, error = ended.err.splitlines()
    assert usage.startswith("Usage: tune.py")
    assert error.startswith("Error: ")
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_begins_with_demo_is_no_demo_set(tmp_path: Path) -> None:
    for path, demo in (
        ("demo", True),
        ("demo:3", True),
        ("demographics/", False),
        ("demo/", False),
    ):
        assert is_demo(path) == demo
    options: list[str | Path] = ["--data", tmp_path / "demographics", "--name", "one"]
    line = refused(tune(*options, "--results", tmp_path / "results", cache=tmp_path / "cache"))
    assert "demographics: no such file or folder" in line


def test_a_notebooks_plotting_backend_does_not_reach_a_search(tmp_path: Path) -> None:
    backend = "MPLBACKEND=module://not_installed.backend"
    options = ["--data", "/no/such/place", "--results"]
    ended = execute("env", backend, *TUNE, *options, tmp_path / "results", cache=tmp_path / "cache")
    assert refused(ended) == "/no/such/place: no such file or folder"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    ended = tune("--time-budget", "0", "--debug", cache=tmp_path / "cache")
    assert ended.code != 0
    assert "Traceback (most recent call last)" in ended.err
    assert ended.err.splitlines()[-1].startswith("ValueError: --time-budget must be above 0")


def test_a_path_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    options = ["--data", "/no/such/place", "--name", "one", "--results"]
    line = refused(tune(*options, tmp_path / "results", cache=tmp_path / "cache"))
    assert line == "/no/such/place: no such file or folder"
    assert list((tmp_path / "results" / "runs").iterdir()) == []


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ended, Path]]:
    """What was said to each wrong command, and the results folder it was given."""
    place = tmp_path_factory.mktemp("refused")
    short = release(place / "short", header=("image", "superclass_index", "sub"))
    single = release(place / "single", ROWS[:-1])
    taken = place / "taken" / "runs" / "one"
    taken.mkdir(parents=True)
    (taken / "mine.txt").write_text("kept")
    wrong_options = {
        "negative": ["--gpus", "-1"],
        "workers": ["--workers-per-trial", "0"],
        "none": ["--gpus-per-trial", "0"],
        "fraction": ["--gpus-per-trial", "1.5"],
        "key": ["--set", "train.learning_rate=1"],
        "equals": ["--set", "train.lr"],
        "value": ["--set", "train.lr=-1"],
        "trials": ["--trials", "-1"],
        "file": ["--config", "none.yaml"],
        "budget": ["--time-budget", "0"],
        "both": ["--resume", "one", "--trials", "9"],
        "other": ["--resume", "one", "--gpus", "2"],
    }
    commands = wrong_options | {
        "column": ["--data", str(short)],
        "single": ["--data", str(single)],
        "backbone": ["--set", "model.backbone=resnet51"],
        "weights": ["--set", f"model.weights={place / 'none.safetensors'}"],
        "scores": ["--set", "thresholds.scores=[msp, luck]"],
        "seed": ["--data", "demo:x"],
        "taken": ["--name", "one"],
        "name": ["--name", "a/b"],
        "unknown": ["--resume", "nobody"],
    }
    words = []
    for key, options in commands.items():
        named = [] if {"--name", "--resume"} & set(options) else ["--name", "one"]
        words.append([*options, *named, "--results", str(place / key)])
    (place / "many.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{MANY}")
    cache = place / "cache"
    ended = execute(sys.executable, place / "many.py", json.dumps(words), cache=cache)
    assert ended.code == 0, ended.err
    said = [Ended(*json.loads(line)) for line in ended.out.splitlines()]
    return {key: (each, place / key / "runs") for key, each in zip(commands, said, strict=True)}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("negative", ["--gpus must be at least 0", "got -1"]),
        ("workers", ["--workers-per-trial must be at least 1", "got 0"]),
        ("none", ["--gpus-per-trial must be a whole number, or a fraction from 0.05", "got 0"]),
        ("fraction", ["--gpus-per-trial must be a whole number", "got 1.5"]),
        ("key", ["unknown key train.learning_rate"]),
        ("equals", ["--set takes section.key=value", "'train.lr'"]),
        ("value", ["train.lr", "greater than 0", "-1"]),
        ("trials", ["search.trials", "greater than or equal to 0", "got -1"]),
        ("file", ["--config", "none.yaml", "does not exist"]),
        ("budget", ["--time-budget must be above 0 seconds", "got 0"]),
        ("both", ["--resume", "give none"]),
        ("other", ["--resume", "give none"]),
        ("column", ["train_data.csv row 1", "'subclass_index' is missing"]),
        ("single", ["'pug'", "at least 2 images", "it has 1"]),
        ("backbone", ["model.backbone", "'resnet51'"]),
        ("weights", ["model.weights", "none.safetensors"]),
        ("scores", ["thresholds.scores", "must be among msp,", "'luck'"]),
        ("seed", ["demo:", "'x'"]),
        ("taken", ["--name must be new", "runs/one exists", "--resume one"]),
        ("name", ["--name must consist of letters, digits", "'a/b'"]),
        ("unknown", ["--resume must name a run", "'nobody'"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    refusals: dict[str, tuple[Ended, Path]], key: str, words: list[str]
) -> None:
    line = refused(refusals[key][0])
    assert all(word in line for word in words), line


def test_a_refused_run_leaves_its_name_free(refusals: dict[str, tuple[Ended, Path]]) -> None:
    for key, (_, runs) in refusals.items():
        left = [path.name for path in runs.iterdir()] if runs.is_dir() else []
        assert left == (["one"] if key == "taken" else []), key
    assert (refusals["taken"][1] / "one" / "mine.txt").read_text() == "kept"


@pytest.mark.slow
def test_more_gpus_than_there_are_is_one_line(tmp_path: Path) -> None:
    options = ["--gpus", "400", "--name", "one", "--results"]
    line = refused(tune(*options, tmp_path / "results", cache=tmp_path / "cache"))
    assert line.startswith("--gpus must be at most ")
    assert "but got 400" in line
    assert list((tmp_path / "results" / "runs").iterdir()) == []
