"""What sharing images out among workers of a cluster costs, beside one process."""

import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
import torch

from hierclf.bundle.directory import load_bundle, save_bundle
from hierclf.commands.predict_files import predict_to_file
from hierclf.data.image_files import list_images
from search.prediction.actors import Workers
from search.prediction.job import begin
from search.prediction.parts import Parts
from search.prediction.run import predicted
from search.runtime.cluster import start_ray
from tests.benchmarks.drawn import jpegs, pixels
from tests.benchmarks.frame import Rounds, figure, threads
from tests.benchmarks.prediction import random_bundle

_N_IMAGES, _SHARD, _BATCH, _ROUNDS = 1024, 128, 64, 3
_READING = {"zip_encoding": None, "keep_truncated": False}


@contextmanager
def _two_nodes() -> Iterator[None]:
    """Ray as two nodes of two cores each, which are the same two cores of this machine."""
    from ray.cluster_utils import Cluster

    # The nodes inherit it; this process, which imported `search`, answers nobody without a token.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    head = {"num_cpus": 2, "include_dashboard": True, "dashboard_port": 0}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=2)
        start_ray(cluster.address)
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def _rate(run: Callable[[Callable[[int], None]], None]) -> float:
    """Images per second after the first shard: what starts before it is not counted."""
    times: list[tuple[float, int]] = []
    run(lambda images: times.append((time.perf_counter(), images)))
    (first, before), (last, all_images) = times[0], times[-1]
    return (all_images - before) / (last - first)


def _plain(place: Path) -> float:
    bundle, images = load_bundle(place / "model"), list_images(str(place / "images"))

    def run(report: Callable[[int], None]) -> None:
        def progress(done: int, total: int) -> None:
            if done % _SHARD == 0:
                report(done)

        predict_to_file(bundle, images, place / "out.parquet", batch_size=_BATCH, progress=progress)

    with threads(2):
        return _rate(run)


def _cluster(place: Path, workers: Workers) -> float:
    with tempfile.TemporaryDirectory(dir=place) as out:
        parts = Parts(out)
        job = begin(
            place / "model",
            str(place / "images"),
            parts,
            reading=_READING,
            batch_size=_BATCH,
            shard_images=_SHARD,
        )

        def run(report: Callable[[int], None]) -> None:
            for number, _ in enumerate(predicted(job, parts, workers, job.shards), start=1):
                report(number * _SHARD)

        return _rate(run)


@figure(
    "predict_two_nodes",
    unit="images/s",
    ours="two local Ray nodes on the same two cores, a worker of one core each: EfficientNet-Lite0 "
    "at 224 px, 64 px JPEG files to Parquet parts",
    theirs="`hierclf predict` in one process with two threads",
    aim="none; what is lost to sharing out, no speed-up",
    more_is_better=True,
)
def predict_two_nodes(device: torch.device) -> Rounds:
    with tempfile.TemporaryDirectory() as folder, _two_nodes():
        place = Path(folder)
        save_bundle(random_bundle(), place / "model")
        (place / "images").mkdir()
        for i, data in enumerate(jpegs(pixels(_N_IMAGES))):
            (place / "images" / f"{i}.jpg").write_bytes(data)
        rounds = [
            (
                _cluster(place, Workers(2, 1, 0.0)),
                _cluster(place, Workers(1, 2, 0.0)),
                _plain(place),
            )
            for _ in range(_ROUNDS)
        ]
    two, one, plain = (list(rates) for rates in zip(*rounds, strict=True))
    note = f"one node with one worker of two cores: {statistics.median(one):.0f} images/s"
    return Rounds(two, plain, f"{note}; starting Ray and workers is not counted")
