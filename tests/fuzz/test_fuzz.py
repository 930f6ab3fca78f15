"""Claims about damaged inputs: whatever the damage, they are accepted or refused in one line.

A short, seeded part of what `python tests/fuzz` does for as long as one likes.
"""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("target", "inputs"), [("images", 1500), ("models", 40), ("tables", 150)])
def test_damaged_inputs_raise_nothing_but_value_errors(
    tmp_path: Path, target: str, inputs: int
) -> None:
    program = [sys.executable, "-m", "tests.fuzz", "--target", target]
    limits = ["--inputs", str(inputs), "--keep", str(tmp_path)]
    done = subprocess.run([*program, *limits], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{inputs} inputs" in done.stdout
    assert " 0 accepted" not in done.stdout  # or the damage would be too coarse to try anything
