"""Every example runs as its first lines say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.searches import ROOT, environment
from tests.tiny_models import pictures, save_tiny_model

EXAMPLES = ROOT / "examples"
# What a program finds after a search, beside its result: no Ray, and its own signal handlers.
AFTERWARDS = """
import runpy, signal, sys
before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
runpy.run_path(sys.argv[1], run_name="__main__")
import ray
assert not ray.is_initialized()
assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
"""


def output_of(*words: str | Path, place: Path) -> str:
    """What a Python command prints in a folder; the packages are those of this clone."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env=environment(place / "cache") | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_every_example_has_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(path.name in source for path in EXAMPLES.glob("*.py"))


def test_predict_in_three_lines(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    (tmp_path / "photos").mkdir()
    for name, data in pictures(2):
        (tmp_path / "photos" / name).write_bytes(data)
    (tmp_path / "photos" / "torn.png").write_bytes(b"no image")
    example = EXAMPLES / "predict_in_three_lines.py"
    said = output_of(example, "model", "photos", place=tmp_path)
    rows = [line.split() for line in said.splitlines()]
    assert rows[0] == ["image", "superclass", "subclass", "error"]
    assert [row[1] for row in rows[1:]] == ["0.png", "1.png", "torn.png"]


@pytest.mark.long
@pytest.mark.slow
def test_search_from_python_leaves_a_model_and_the_process_as_it_was(tmp_path: Path) -> None:
    example = EXAMPLES / "search_from_python.py"
    said = output_of("-c", AFTERWARDS, example, place=tmp_path)
    (run,) = (tmp_path / "results" / "runs").iterdir()
    assert (run / "model" / "bundle.json").is_file()
    assert f"run {run.name}\n" in said
    assert re.search(r"^sub_seen: 0\.\d\d \(0\.\d\d to [01]\.\d\d\)$", said, re.MULTILINE)
    assert "Model(smallnet, " in said


def test_own_features_finds_new_digits_about_as_often_as_promised(tmp_path: Path) -> None:
    said = output_of(EXAMPLES / "own_features.py", place=tmp_path)
    figures = dict(line.split(": ") for line in said.splitlines())
    assert float(figures["known digits right"]) > 0.7
    low, high = (
        float(x)
        for x in figures["promised for new classes"].split("(")[1].rstrip(")").split(" to ")
    )
    assert low - 0.05 <= float(figures["new digits found"]) <= high + 0.05
