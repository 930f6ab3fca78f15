"""Claims about `import hierclf`: quick, with the public names and nothing else."""

import importlib.resources
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import hierclf

ROOT = Path(__file__).parents[1]
IMPORT = """
import json, sys, time
start = time.perf_counter()
import hierclf
names = dir(hierclf)
seconds = time.perf_counter() - start
print(json.dumps([seconds, names, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_importing_the_package_is_quick_and_imports_no_other() -> None:
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True, cwd=ROOT
        )
        runs.append(json.loads(done.stdout))
    seconds, names, modules = min(runs)
    assert seconds < 0.1
    assert not {"torch", "numpy", "pandas", "PIL", "typer"} & set(modules)
    assert set(hierclf.__all__) <= set(names)


def test_every_public_name_is_there() -> None:
    for name in hierclf.__all__:
        assert getattr(hierclf, name) is not None
    assert hierclf.__version__ == version("hierclf")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hierclf' has no attribute 'nothing'"):
        getattr(hierclf, "nothing")  # noqa: B009


def test_the_package_says_that_it_is_typed() -> None:
    assert importlib.resources.files("hierclf").joinpath("py.typed").is_file()
