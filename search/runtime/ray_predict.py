"""Predict on a Ray cluster: Ray Data divides the images, and each part becomes a Parquet file."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ray

from hierclf.bundle.directory import load_bundle
from hierclf.commands.predict_files import predict_to_file
from hierclf.commands.tally import Tally
from hierclf.data.image_files import list_images
from hierclf.data.image_list import ImageFiles
from hierclf.progress import Progress
from search.runtime.cluster import start_ray

SHARD_ROWS = 8192
"""Images per file, and per task of a worker."""
_CORES = 4  # per worker without a GPU; further cores speed up one network less and less


def predict_on_ray(
    model: Path,
    images: str,
    out: Path,
    *,
    reading: Mapping[str, Any] = MappingProxyType({}),
    batch_size: int = 64,
    address: str | None = None,
    shard_rows: int = SHARD_ROWS,
    progress: Progress | None = None,
) -> Tally:
    """Predict images as `predict_files.predict_to_file` does, spread over a cluster.

    Args:
        model: a model directory. On a cluster, it, the images and `out` must be on shared storage.
        images: the images, as for `image_files.list_images`.
        out: a new folder, created when all predictions are complete. Its files, in order of their
            names, hold the same rows in the same order as a prediction without Ray.
        reading: the other arguments of `image_files.list_images`.
        batch_size: images per forward pass.
        address: address of a running cluster; None starts Ray on this machine.
        shard_rows: images per file.
        progress: called as (done, total).

    Raises:
        ValueError: `out` exists, no image is readable, there is no cluster at `address`, or
            `list_images` or `load_bundle` raises it.
    """
    model, out = model.resolve(), out.resolve()
    if out.exists() or not out.parent.is_dir():
        raise ValueError(f"--out must name a new folder in an existing one, but got {out}")
    listed = list_images(images, **reading)
    n_images = len(listed)
    load_bundle(model)  # an invalid model raises before Ray is started
    start_ray(address)
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    draft.mkdir()
    try:
        where = str(Path(images).expanduser().absolute())
        options = (str(model), where, dict(reading), str(draft), batch_size)
        tally = _run(options, n_images, shard_rows, progress)
        tally.left_out = listed.left_out
        if not tally.predicted:
            name, reason = tally.unreadable[0]
            raise ValueError(
                f"at least one image must be readable, but none of {n_images} is; {name}: {reason}"
            )
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        ray.shutdown()
    return tally


def _run(
    options: tuple[str, str, dict[str, Any], str, int],
    n_images: int,
    shard_rows: int,
    progress: Progress | None,
) -> Tally:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # An error here is a bug, or the images changed meanwhile: raise it instead of retrying forever.
    context.max_errored_blocks = 0
    shards = [
        {"start": start, "stop": min(start + shard_rows, n_images)}
        for start in range(0, n_images, shard_rows)
    ]
    workers, resources = _workers(len(shards))
    parts = ray.data.from_items(shards, override_num_blocks=len(shards)).map(
        _Worker,
        fn_constructor_args=(*options, resources["num_cpus"]),
        compute=ray.data.ActorPoolStrategy(size=workers),
        **resources,
    )
    tally, done = Tally(), 0
    unreadable: dict[int, list[tuple[str, str]]] = {}
    for part in parts.iter_rows():
        unreadable[part["start"]] = list(zip(part["names"], part["reasons"], strict=True))
        tally.add(Tally(part["known"], part["novel_super"], part["novel_sub"]))
        done += part["images"]
        if progress is not None:
            progress(done, n_images)
    for start in sorted(unreadable):
        tally.unreadable += unreadable[start]
    return tally


def _workers(n_shards: int) -> tuple[int, dict[str, Any]]:
    """The number of processes, and the resources of each: a GPU if there is one, else cores."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if gpus:
        return min(gpus, n_shards), {"num_cpus": 1, "num_gpus": 1}
    cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    cores = min(_CORES, *cpus)
    return min(sum(n // cores for n in cpus), n_shards), {"num_cpus": cores}


class _Worker:
    """Ray Data keeps this actor alive between parts, so that it loads the model only once."""

    def __init__(
        self,
        model: str,
        images: str,
        reading: dict[str, Any],
        draft: str,
        batch_size: int,
        n_cores: int,
    ) -> None:
        import torch

        torch.set_num_threads(n_cores)
        self.bundle = load_bundle(model)
        self.images = list_images(images, **reading)
        self.draft, self.batch_size = Path(draft), batch_size

    def __call__(self, shard: dict[str, int]) -> dict[str, Any]:
        start, stop = shard["start"], shard["stop"]
        part = ImageFiles(
            self.images.names[start:stop], self.images.places[start:stop], self.images.read_at
        )
        # If a part is retried, it replaces its own file.
        out = self.draft / f"part-{start:010d}.parquet"
        tally = predict_to_file(
            self.bundle, part, out, batch_size=self.batch_size, may_be_empty=True
        )
        return {
            "start": start,
            "images": stop - start,
            "known": tally.known,
            "novel_super": tally.novel_super,
            "novel_sub": tally.novel_sub,
            "names": [name for name, _ in tally.unreadable],
            "reasons": [reason for _, reason in tally.unreadable],
        }
