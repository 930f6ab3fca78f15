"""The page in a real browser, from a real process: `hierclf app`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hierclf.app.moves import read_moves
from hierclf.metrics.text import percent
from hierclf.model import load
from hierclf.reports.promise_table import PROMISE_ROWS
from tests.browser import needs_browser
from tests.browser_tab import Tab, browser_tab
from tests.commands_run import error_of, run
from tests.tiny_models import encoded, picture, save_tiny_model

pytest.importorskip("gradio", reason="the extra app is not installed")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@contextmanager
def command(*args: str | Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it prints."""
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-m", "hierclf.cli", "app", *args, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | own,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[1]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    save_tiny_model(folder / "model")
    run("thresholds", folder / "model")
    for name in ("hen", "owl", "pug", "collie"):
        for number in (1, 2):
            (folder / "training" / name).mkdir(parents=True, exist_ok=True)
            file = folder / "training" / name / f"{number}.png"
            file.write_bytes(encoded(picture(40 + number)))
    return folder / "model"


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    training = ["--training-images", str(model.parent / "training"), "--max-images", "5"]
    (model.parent / "tmp").mkdir()
    with command(model, *training, folder=model.parent / "tmp") as (_, address):
        yield address


@pytest.fixture
def tab(address: str, tmp_path: Path) -> Iterator[Tab]:
    with browser_tab(tmp_path / "profile") as tab:
        tab.look(1200, 900)
        tab.open(address)
        tab.wait("document.querySelector('#sub_tau input[type=range]')")
        yield tab


def verdicts(tab: Tab) -> list[str]:
    return tab.run("[...document.querySelectorAll('#answers .verdict')].map((v) => v.innerText)")


@needs_browser
def test_images_are_answered_and_a_slider_changes_decisions_and_figures(
    tab: Tab, address: str, model: Path, files: list[Path]
) -> None:
    files[2].write_bytes(b"no image")
    tab.upload("#drop input[type=file]", files[:4])
    tab.wait_text("#answers", "2.png: not a readable")
    shown = load(model, device="cpu")
    table = shown.predict([files[0], files[1], files[3]])
    columns = table[["superclass", "subclass"]]
    assert verdicts(tab) == columns.to_numpy().ravel().tolist()
    assert "super-class" in tab.wait_text("#why", "Nearest training images")
    assert tab.run("document.querySelectorAll('#why img').length") > 0
    before = tab.text("#figures")
    assert "These thresholds are deployed" in before

    low = float(tab.run("document.querySelector('#super_tau input[type=range]').min"))
    tab.slide("#super_tau input[type=range]", low)
    tab.wait_text("#figures", f"--super-tau={low:.8g}")
    tab.wait("[...document.querySelectorAll('#answers .verdict.novel')].length == 6")
    assert verdicts(tab) == ["novel"] * 6
    assert tab.wait_text("#why", ": novel").startswith("0.png: novel / novel")
    here = "[...document.querySelectorAll('#figures .here')].map((x) => x.innerText)"
    moves = read_moves(shown, model)
    promised = moves.promise(moves.to(low, moves.ranges["sub"].start))
    assert promised is not None
    expected = [promised[key] for key in PROMISE_ROWS]
    assert tab.run(here) == [percent(figure and figure.expected) for figure in expected]

    tab.run("document.querySelector('#back').click()")
    tab.wait_text("#figures", "These thresholds are deployed")
    assert tab.text("#figures") == before
    known = int((columns != "novel").to_numpy().sum())
    tab.wait(f"document.querySelectorAll('#answers .verdict.known').length == {known}")
    elsewhere = [u for u in tab.asked if not u.startswith((address, "data:", "blob:"))]
    assert elsewhere == []
    left = [file for file in (model.parent / "tmp").rglob("*") if file.suffix == ".png"]
    assert left == []


@needs_browser
def test_too_many_images_are_one_line_and_the_page_goes_on(tab: Tab, files: list[Path]) -> None:
    tab.upload("#drop input[type=file]", files)
    tab.wait_text("#answers", "at most 5 images")
    tab.wait("!document.querySelector('#answers').innerText.includes('processing')")
    assert len(tab.text("#answers").strip().splitlines()) == 1
    tab.wait("document.querySelector('#drop input[type=file]')")
    tab.upload("#drop input[type=file]", files[:5])
    tab.wait("document.querySelectorAll('#answers article').length == 5")


@needs_browser
def test_ctrl_c_ends_the_command_though_a_page_is_open(model: Path, tmp_path: Path) -> None:
    with (
        command(model, folder=tmp_path) as (process, address),
        browser_tab(tmp_path / "profile") as tab,
    ):
        tab.open(address)
        tab.wait("document.querySelector('#sub_tau input[type=range]')")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
    assert list(tmp_path.glob("hierclf-app-*")) == []


def test_mistakes_are_one_line(model: Path, tmp_path: Path) -> None:
    assert "must be a model directory" in error_of("app", tmp_path)
    assert "--max-images must be above 0" in error_of("app", model, "--max-images", 0)
    assert "gone" in error_of("app", model, "--training-images", tmp_path / "gone")
