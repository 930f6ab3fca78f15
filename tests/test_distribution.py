"""Claims about the wheel and the sdist: whole, and of use in an environment that has only them."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from hierclf.bundle.directory import load_bundle
from hierclf.predict import predict_images
from tests.searches import ROOT
from tests.tiny_models import pictures, save_tiny_model

pytestmark = pytest.mark.slow
# Python runs this file of an environment before anything else: the packages of the extra `search`
# cannot be imported then.
WITHOUT_SEARCH = """
import os, sys
if "WITHOUT_SEARCH" in os.environ:
    sys.modules |= dict.fromkeys(("mlflow", "optuna", "psutil", "ray"))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


class Environment:
    """A virtual environment with the wheel; all other packages are those of this one."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.bin, self.place = folder / "bin", folder / "empty"
        self.place.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.run(
            *(sys.executable, "-m", "pip", "--python", self.bin / "python", "install"),
            *("--quiet", "--no-deps", "--no-index", "--no-warn-script-location", wheel),
        )
        (site,) = folder.glob("lib/python*/site-packages")
        # A line adds a folder to the path, and no .pth file in it is read: this project's own
        # editable installation stays out.
        (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        (site / "sitecustomize.py").write_text(WITHOUT_SEARCH)

    def run(
        self, *command: str | Path, code: int = 0, without_search: bool = False
    ) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        own |= {"HIERCLF_CACHE": str(self.place.parent / "cache"), "COLUMNS": "80"}
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.place,
            env=own | ({"WITHOUT_SEARCH": "1"} if without_search else {}),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("bare") / "venv", built[1])


def test_the_wheel_holds_both_packages_their_types_and_the_recipes(
    built: tuple[Path, Path],
) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("hierclf", "search")
        for path in (ROOT / package).rglob("*.py")
    }
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hierclf").glob("*/page/*")}
    assert len({name.rsplit("/", 1)[0] for name in page}) >= 2
    recipes = {
        f"hierclf/recipes/{path.name}" for path in (ROOT / "configs").iterdir() if path.is_file()
    }
    own = {name for name in names if ".dist-info/" not in name}
    assert own == sources | recipes | page | {"hierclf/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_the_tests_too(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "configs/demo.yaml"} <= names
    assert "tests/test_distribution.py" in names
    assert not any(name.startswith((".ci", "results", "build")) for name in names)


def test_the_installed_packages_are_those_of_the_wheel(installed: Environment) -> None:
    said = installed.run(
        "python", "-c", "import hierclf, search; print(hierclf.__file__, search.__file__)"
    )
    assert all(str(installed.bin.parent) in file for file in said.stdout.split())
    assert "predict" in installed.run("hierclf", "--help").stdout


def test_the_core_works_without_the_packages_of_a_search(installed: Environment) -> None:
    save_tiny_model(installed.place / "model")
    (installed.place / "images").mkdir()
    for name, data in pictures(3):
        (installed.place / "images" / name).write_bytes(data)
    installed.run(
        "hierclf", "predict", "model", "images", "--out", "out.parquet", without_search=True
    )
    expected = predict_images(load_bundle(installed.place / "model"), pictures(3))
    table = pd.read_parquet(installed.place / "out.parquet")
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    code = "import hierclf; print(hierclf.load('model').predict('images')['error'].isna().sum())"
    assert installed.run("python", "-c", code, without_search=True).stdout == "3\n"
    installed.run("hierclf", "thresholds", "model", "--dry-run", without_search=True)
    installed.run("python", "-m", "hierclf.benchmark", "--help", without_search=True)


def test_a_search_without_its_packages_says_what_to_type(installed: Environment) -> None:
    for module in ("search.tune", "search.predict"):
        words = ["models:/m@champion", "images", "--out", "o.csv"] if "predict" in module else []
        said = installed.run("python", "-m", module, *words, code=2, without_search=True)
        (line,) = said.stderr.splitlines()
        assert line.endswith(
            "a search needs packages that are not installed (mlflow, optuna, psutil, ray): "
            "run pip install 'hierclf[search]'"
        )
    assert not (installed.place / "results").exists()


def test_an_installed_search_finds_its_recipes(installed: Environment) -> None:
    for options, name in (
        ((), "demo"),
        (("--data", "x", "--gpus", "1"), "paper"),
        (("--data", "x", "--gpus", "0"), "cpu"),
        (("--config", "paper"), "paper"),
    ):
        said = installed.run("python", "-m", "search.tune", "--trials", "-1", *options, code=2)
        (line,) = said.stderr.splitlines()
        assert line.startswith(f"tune.py: error: {name}: search.trials: ")
