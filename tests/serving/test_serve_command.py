"""Claims about the command `hierclf serve` as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import hierclf
from tests.commands_run import error_of
from tests.serving.served import HOST, ask, connected, everything, head, post
from tests.tiny_models import encoded, picture

ROOT = Path(__file__).parents[2]
GOOD = encoded(picture(0))
# The command, in a Python that lacks some packages.
WITHOUT = """
import sys

class Banned:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BANNED}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Banned())
from hierclf.cli import main
main()
"""
NEEDED_FOR_TRAINING = {
    *("torch", "torchvision", "timm", "pandas", "scipy", "sklearn", "pyarrow", "safetensors"),
    *("matplotlib", "yaml", "jinja2", "onnx", "onnxscript", "fastapi", "httptools"),
}


@contextmanager
def command(*args: str | Path, without: set[str] | None = None) -> Iterator[subprocess.Popen[str]]:
    code = WITHOUT.replace("{BANNED}", repr(without or set()))
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that the process prints, with what to type, once it listens."""
    assert process.stdout is not None
    serving, _, curl = (process.stdout.readline() for _ in range(3))
    assert serving.startswith("serving "), (serving, process.stderr and process.stderr.read())
    port = int(serving.partition(f"http://{HOST}:")[2].split()[0])
    assert curl == f"  curl -F image=@photo.jpg http://{HOST}:{port}/predict\n"
    return port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_once_requests_in_work_are_answered(
    model: Path, number: signal.Signals
) -> None:
    with command(model, "--port", "0") as process:
        port = port_of(process)
        answer = post(port, GOOD).json["predictions"][0]
        own = hierclf.load(model, device="cpu").predict(GOOD)
        assert answer["superclass"] == own["superclass"][0]
        with connected(port, head(f"Content-Length: {len(GOOD)}") + GOOD[:-1]) as client:
            ask(port, "GET", "/health")  # the one above has arrived, too
            process.send_signal(number)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            with pytest.raises(ConnectionError):
                connected(port, b"")
            client.sendall(GOOD[-1:])
            last = everything(client)
        said, errors = process.communicate(timeout=60)
    assert last.startswith(b"HTTP/1.1 200 ")
    assert json.loads(last.partition(b"\r\n\r\n")[2])["predictions"] == [answer]
    assert (process.returncode, said, errors) == (0, "stopped\n", "")


def test_an_exported_model_is_served_without_torch(exported: Path) -> None:
    with command(exported, "--port", "0", without=NEEDED_FOR_TRAINING) as process:
        port = port_of(process)
        found = post(port, GOOD).json["predictions"][0]
        versions = ask(port, "GET", "/model").json["versions"]
        process.terminate()
        _, errors = process.communicate(timeout=60)
    from hierclf.runtime import load

    (row,) = load(exported).predict([GOOD])
    assert {name: found[name] for name in row} == row
    assert "torch" not in versions
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("starlette", "serving needs starlette: run pip install 'hierclf[serve]'"),
        ("python_multipart", "serving needs python_multipart: run pip install 'hierclf[serve]'"),
        ("onnxruntime", "needs onnxruntime: run pip install onnxruntime"),
    ],
)
def test_a_package_that_is_missing_is_named(exported: Path, missing: str, words: str) -> None:
    with command(exported, "--port", "0", without={missing}) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1
    assert words in errors


def test_a_port_in_use_is_one_line(model: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        line = error_of("serve", model, "--port", port)
    assert f"but {HOST} port {port}: Address already in use" in line


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["gone"], "gone must be a model directory, but is no folder"),
        (["gone", "--host", "no.such.host.invalid"], "--host must be an address of this machine"),
        (["gone", "--host", "192.0.2.1"], "--host and --port must be free to listen on"),
        (["gone", "--max-images", "0"], "--max-images must be above 0, but got 0"),
        (["gone", "--timeout", "nan"], "--timeout must be above 0, but got nan"),
    ],
)
def test_a_mistake_is_one_line(args: list[str], words: str) -> None:
    assert words in error_of("serve", *args, *([] if "--port" in args else ["--port", 0]))


def test_a_model_without_thresholds_and_a_wrong_device_are_refused(
    model: Path, exported: Path, tmp_path: Path
) -> None:
    for path in model.iterdir():
        if path.name != "thresholds.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert "must hold thresholds.json" in error_of("serve", tmp_path, "--port", 0)
    assert "must be cpu" in error_of("serve", exported, "--port", 0, "--device", "cuda")
    assert "--batch-size must be" in error_of("serve", exported, "--port", 0, "--batch-size", 0)
