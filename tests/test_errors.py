"""What a command's output and end look like where the terminal or the disk behind it is unusual."""

import getpass
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from hierclf.errors import one_line_errors

CHECK = [sys.executable, "-m", "hierclf.cli", "check"]


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder tree whose classes no Western code page can write."""
    root = tmp_path_factory.mktemp("data") / "birds"
    for name in ("鳥/雀", "鳥/鴉", "犬/柴犬"):
        (root / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (20, 20), (90 * i, 0, len(name))).save(root / name / f"{i}.png")
    return root


def shell(command: str, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `command` with the words as "$@" in a shell."""
    return subprocess.run(
        ["bash", "-c", command, "bash", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
        env=os.environ | variables,
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_what_a_terminal_cannot_show_is_a_question_mark(birds: Path, encoding: str) -> None:
    done = shell('"$@"', *CHECK, birds, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "??" in done.stdout
    assert "no problems" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output_is_named(birds: Path, unbuffered: str) -> None:
    done = shell('"$@" > /dev/full', *CHECK, birds, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert done.stderr == "hierclf: error: standard output: No space left on device\n"


def test_a_closed_output_stops_nothing(birds: Path) -> None:
    done = shell('"$@" >&-', *CHECK, birds)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_is_gone_is_no_error(birds: Path, unbuffered: str) -> None:
    done = shell('"$@" | true', *CHECK, birds, PYTHONUNBUFFERED=unbuffered)
    assert done.stderr == ""


def test_errors_and_warnings_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    @one_line_errors("p", debug=False)
    def act() -> None:
        warnings.warn("a\x1b[2Jb", stacklevel=1)
        raise FileNotFoundError(2, "gone", "c\x1b\nd")

    with pytest.raises(SystemExit):
        act()
    assert capsys.readouterr().err == "p: warning: a\\x1b[2Jb\np: error: c\\x1b\\nd: gone\n"


def test_a_user_without_a_home_folder_gets_one(tmp_path: Path, birds: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pwd\ndef nobody(*_): raise KeyError('uid not found')\npwd.getpwuid = nobody\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    done = shell('env -u HOME "$@"', *CHECK, birds, PYTHONPATH=paths, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    home = tmp_path / f"hierclf-{os.getuid()}"
    warning = f"this user has no home folder; HOME is {home} for now"
    assert done.stderr == f"hierclf: warning: {warning}\n"
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_user_without_a_name_is_called_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> None:
        raise KeyError("uid not found")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    with one_line_errors("tool", debug=False):
        assert getpass.getuser() == str(os.getuid())


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line_errors("tool", debug=False):
        warnings.warn("first\n  second", stacklevel=1)
    assert capsys.readouterr().err == "tool: warning: first second\n"


def test_a_notebooks_backend_of_matplotlib_ends_no_command(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hierclf.benchmark", "scores", "--data", tmp_path / "none"]
    done = shell('"$@"', *words, MPLBACKEND="module://not_installed.backend")
    assert done.returncode == 2
    assert done.stderr.endswith("none: no such file or folder\n")


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors("hierclf", debug=False):
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "hierclf: stopped\n"


def test_an_error_of_many_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, one_line_errors("tool", debug=False):
        raise ValueError("first\n  second")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "tool: error: first second\n"


@pytest.mark.parametrize("program", ["-m hierclf.cli", "search/tune.py", "search/predict.py"])
def test_help_into_a_full_disk_is_one_line(program: str) -> None:
    done = shell('"$@" > /dev/full', sys.executable, *program.split(), "--help")
    assert done.returncode == 2
    assert done.stderr.endswith(" error: standard output: No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_help_to_a_reader_that_is_gone_is_quiet(unbuffered: str) -> None:
    words = (sys.executable, "-m", "hierclf.cli", "--help")
    done = shell('"$@" | true', *words, PYTHONUNBUFFERED=unbuffered)
    assert done.stderr == ""


def test_the_version_into_a_full_disk_is_one_line() -> None:
    done = shell(
        '"$@" > /dev/full', sys.executable, "-m", "hierclf.cli", "--version", PYTHONUNBUFFERED=""
    )
    assert done.stderr == "hierclf: error: standard output: No space left on device\n"
