"""Claims about the command `hierclf`: what it writes, says and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer import rich_utils
from typer.testing import CliRunner

from hierclf import cli
from hierclf.cli import app
from tests.commands_run import error_of, run

ROOT = Path(__file__).parents[1]


def test_the_command_asks_for_huge_pages_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "THP_MEM_ALLOC_ENABLE"
    monkeypatch.setattr(cli, "app", lambda **options: None)
    for before, after in (("0", "0"), (None, "1")):
        monkeypatch.setenv(name, "0")
        if before is None:
            del os.environ[name]
        cli.main()
        assert os.environ[name] == after


@pytest.mark.parametrize("before", [True, False])
def test_debug_shows_the_traceback_wherever_it_stands(before: bool) -> None:
    args = ["predict", "gone", "gone", "--out", "o.csv"]
    args.insert(0 if before else len(args), "--debug")
    result = CliRunner().invoke(app, args)
    assert isinstance(result.exception, ValueError)


def test_the_demo_set_passes_its_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierclf.data.demo.TRAIN_PER_CLASS", 2)
    monkeypatch.setattr("hierclf.data.demo.TEST_PER_CLASS", 1)
    result = run("demo", tmp_path / "demo", "--seed", 123)
    assert f"hierclf check {tmp_path}/demo" in result.stdout
    assert f"python -m search.tune --config demo --data {tmp_path}/demo" in result.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        "train_images.zip",
        "train_data.csv",
        "superclass_mapping.csv",
        "subclass_mapping.csv",
        "test_images.zip",
        "test_labels.csv",
    }
    checked = run("check", tmp_path / "demo", "--read-images")
    assert "no problems" in checked.stdout
    assert "reading images: 32 of 32" in checked.stderr
    assert "seed >= 0" in error_of("demo", tmp_path / "x", "--seed", -1)
    labels = tmp_path / "demo" / "test_labels.csv"
    assert "100.00" in run("evaluate", labels, labels).stdout


def test_benchmark_is_a_command_too_and_passes_its_options_on() -> None:
    assert "new-classes" in run("benchmark", "--help").stdout
    result = CliRunner().invoke(app, ["benchmark", "scores", "--data", "gone"])
    assert result.exit_code == 2
    assert result.stderr == "hierclf.benchmark: error: gone: no such file or folder\n"


def test_check_ends_with_1_where_something_is_fatal(tmp_path: Path) -> None:
    result = run("check", tmp_path / "gone", code=1)
    assert "no such file or folder" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        "",
        "check",
        "demo",
        "predict",
        "serve",
        "evaluate",
        "thresholds",
        "app",
        "report",
        "export",
        "benchmark",
    ],
)
def test_no_word_of_a_help_is_broken_at_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {}
    for columns in (80, 400):
        monkeypatch.setattr(rich_utils, "MAX_WIDTH", columns)
        text = run(*filter(None, [command]), "--help").stdout
        words[columns] = set(text.translate(dict.fromkeys(map(ord, "─│╭╮╰╯"))).split())
    assert words[80] == words[400]


def test_the_real_command_prints_one_line_and_help_imports_no_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hierclf.cli"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *args], capture_output=True, text=True, cwd=ROOT, env=env, check=False
        )

    wrong = call("predict", "model", "images", "--out", str(tmp_path / "gone" / "o.csv"))
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr == (
        f"hierclf: error: --out must lie in a folder, but {tmp_path}/gone does not exist\n"
    )
    assert call("--version").stdout.startswith("hierclf ")
    code = "import sys, hierclf.cli; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert loaded.stdout == "[]\n"


def test_the_schema_accepts_every_recipe_and_refuses_unknown_keys(tmp_path: Path) -> None:
    written = run("schema", tmp_path / "hierclf.json")
    assert "# yaml-language-server: $schema=hierclf.json" in written.stdout.splitlines()
    validator = jsonschema.Draft202012Validator(json.loads((tmp_path / "hierclf.json").read_text()))
    recipes = sorted((ROOT / "configs").glob("*.yaml"))
    assert recipes
    for recipe in recipes:
        validator.validate(yaml.safe_load(recipe.read_text()))
    for wrong in ("modle: {}", "train: {lr: 0}", "search: {space: {train.lr: 1}}"):
        assert not validator.is_valid(yaml.safe_load(wrong))
    assert "must end in .json" in error_of("schema", tmp_path / "hierclf.yaml")
