"""Requests to `hierclf serve`, one image each, beside the same predictions without HTTP."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import torch

from hierclf.bundle.directory import save_bundle
from hierclf.serving.engines import Asked, Engine, open_engine
from tests.benchmarks.drawn import jpegs, pixels
from tests.benchmarks.frame import Rounds, Skip, figure, in_turn
from tests.benchmarks.prediction import random_bundle

_REQUESTS = 96
_KINDS = {"serve": "the model directory", "serve_exported": "the exported model, without torch"}


@contextmanager
def _served(model: Path, device: str) -> Iterator[int]:
    """`hierclf serve` in a process of its own; yields the port."""
    command = [sys.executable, "-m", "hierclf.cli", "serve", str(model), "--port", "0"]
    with subprocess.Popen(
        [*command, "--device", device], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().partition("http://127.0.0.1:")[2].split()[0])
        finally:
            process.terminate()


def _answered(port: int, images: list[bytes]) -> list[float]:
    """Seconds of each request of one client, which keeps its connection."""
    times = []
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for data in images:
        start = time.perf_counter()
        connection.request("POST", "/predict", data)
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - start)
        assert answer.status == 200
    connection.close()
    return times


def _predicted(engine: Engine, images: list[bytes]) -> list[float]:
    """Seconds of each prediction, one image at a time, decoded in between."""
    times = []
    for data in images:
        start = time.perf_counter()
        engine.rows([Asked(engine.pixels(data))])
        times.append(time.perf_counter() - start)
    return times


def _latency(times: list[float]) -> str:
    found = np.percentile(np.array(times) * 1000, [50, 95, 99])
    return " / ".join(f"{value:.1f}" for value in found)


def _write(kind: str, folder: Path, device: torch.device) -> Path:
    model, exported = folder / "model", folder / "exported"
    save_bundle(random_bundle(), model)
    if kind == "serve":
        return model
    if device.type != "cpu":
        raise Skip("an exported model is served on the CPU")
    try:
        from hierclf.commands.export import export_model
    except ModuleNotFoundError as error:
        raise Skip(f"an export needs {error.name}") from None
    export_model(random_bundle(), exported)
    return exported


def _measure(kind: str, clients: int, device: torch.device) -> Rounds:
    images = jpegs(pixels(_REQUESTS))
    parts = [images[start::clients] for start in range(clients)]
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        model = _write(kind, Path(folder), device)
        engine = open_engine(model, str(device))
        with _served(model, str(device)) as port, ThreadPoolExecutor(clients) as pool:

            def requests() -> float:
                start = time.perf_counter()
                for times in pool.map(lambda part: _answered(port, part), parts):
                    ours.extend(times)
                return _REQUESTS / (time.perf_counter() - start)

            def predictions() -> float:
                times = _predicted(engine, images)
                theirs.extend(times)
                return _REQUESTS / sum(times)

            rounds = in_turn(requests, predictions)
    # Without the round that warms up.
    latencies = f"{_latency(ours[_REQUESTS:])} ms against {_latency(theirs[_REQUESTS:])} ms"
    return rounds._replace(note=f"latency p50 / p95 / p99: {latencies}")


def _register(kind: str, what: str, clients: int) -> None:
    def measure(device: torch.device) -> Rounds:
        return _measure(kind, clients, device)

    many = "1 client" if clients == 1 else f"{clients} clients at a time"
    figure(
        f"{kind}_{clients}",
        unit="requests/s",
        ours=f"{many}, a 64 px JPEG a request, EfficientNet-Lite0 at 224 px; {what}",
        theirs="the same predictions in a loop, one image at a time, without HTTP",
        aim="ratio 0.9" if clients == 1 else "ratio 1",
        more_is_better=True,
    )(measure)


for _kind, _what in _KINDS.items():
    for _clients in (1, 4, 16):
        _register(_kind, _what, _clients)
