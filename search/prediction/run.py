"""Predict on a Ray cluster into Parquet files, and go on where an earlier start has stopped."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import ray

from hierclf.commands.tally import Tally
from search.prediction.actors import Workers, plan_workers, results_of
from search.prediction.job import QUARANTINE, Job, Shard, begin
from search.prediction.parts import Parts
from search.prediction.progress import Done, ShardProgress
from search.prediction.worker import PredictionWorker
from search.runtime.cluster import start_ray


class Outcome(NamedTuple):
    """What came of a prediction.

    Attributes:
        tally: of all images, those of an earlier start included.
        parts: number of Parquet files.
        before: how many of them an earlier start had written.
    """

    tally: Tally
    parts: int
    before: int


def predict_on_cluster(
    model: Path,
    images: str,
    out: str,
    *,
    reading: Mapping[str, Any] = MappingProxyType({}),
    batch_size: int = 64,
    address: str | None = None,
    gpus_per_worker: float | None = None,
    shard_images: int | None = None,
    progress: ShardProgress | None = None,
) -> Outcome:
    """Predict images as `predict_files.predict_to_file` does, spread over a cluster.

    The rows of the parts, read in the order of their names, are those of a plain prediction with
    this batch size, in the same order. A part is written once: a start with the same arguments
    predicts the shards whose parts are missing.

    Args:
        model: a model directory of this machine; workers get its content.
        images: as for `list_images_in_place`; workers read them, from storage that all nodes share
            or from a bucket.
        out: a folder on storage that all nodes share, or the address of one in a bucket.
        reading: the other arguments of `list_images_in_place`.
        batch_size: images per forward pass.
        address: of a running cluster; None starts Ray on this machine.
        gpus_per_worker: see `plan_workers`.
        shard_images: images per part, whole batches; by default by the number of images.
        progress: called after each shard.

    Raises:
        ValueError: as `job.begin`, `start_ray`, `plan_workers` and `results_of`; or no image is
            readable.
    """
    parts = Parts(out)
    job = begin(
        model, images, parts, reading=reading, batch_size=batch_size, shard_images=shard_images
    )
    before = len(job.done)
    if job.missing:
        start_ray(address)
        try:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            workers = plan_workers(
                nodes, gpus_per_worker=gpus_per_worker, n_shards=len(job.missing)
            )
            _predict(job, parts, workers, progress)
        finally:
            ray.shutdown()
    return Outcome(_finish(job, parts), len(job.shards), before)


def _predict(job: Job, parts: Parts, workers: Workers, progress: ShardProgress | None) -> None:
    missing = job.missing
    before = images = len(job.images) - sum(shard.stop - shard.start for shard in missing)
    for shard, tally in predicted(job, parts, workers, missing):
        job.done[shard.part] = tally
        images += shard.stop - shard.start
        if progress is not None:
            progress(Done(len(job.done), len(job.shards), images, len(job.images), before))


def predicted(
    job: Job, parts: Parts, workers: Workers, shards: Iterable[Shard]
) -> Iterator[tuple[Shard, Tally]]:
    """Predict shards on the cluster that this process has joined; see `results_of`."""
    actor = ray.remote(**workers.resources)(PredictionWorker)
    model = ray.put(job.model)

    def start() -> Any:
        return actor.options(scheduling_strategy="SPREAD").remote(
            model, job.images.read_at, parts, job.batch_size, workers.cpus, workers.gpus > 0
        )

    def submit(worker: Any, shard: Shard) -> Any:
        inside = slice(shard.start, shard.stop)
        return worker.predict.remote(
            shard.part, job.images.names[inside], job.images.places[inside]
        )

    return results_of(shards, start, submit, workers.number)


def _finish(job: Job, parts: Parts) -> Tally:
    """Put together what the parts say, in order, and list the unreadable images in a file."""
    tally = Tally(left_out=job.images.left_out)
    for shard in job.shards:
        tally.add(job.done[shard.part])
    if not tally.predicted:
        name, reason = tally.unreadable[0]
        raise ValueError(
            f"at least one image must be readable, but none of {len(job.images)} is; "
            f"{name}: {reason}"
        )
    if tally.unreadable:
        parts.write(QUARANTINE, lambda path: _write_quarantine(path, tally))
    parts.remove_drafts()
    return tally


def _write_quarantine(path: Path, tally: Tally) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("image", "reason"))
        rows.writerows(tally.unreadable)
