"""What a prediction on a cluster has to do, and what an earlier start of it has done."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hierclf.bundle.checksums import DESCRIPTION
from hierclf.bundle.directory import load_bundle
from hierclf.bundle.rule_file import RULE_FILE
from hierclf.bundle.weights_check import STATES, WEIGHTS
from hierclf.commands.tally import Tally
from hierclf.data.image_list import ImageFiles
from hierclf.data.remote_images import list_images_in_place
from search.prediction.parts import Parts

MANIFEST = "_prediction.json"
QUARANTINE = "_quarantine.csv"
MODEL_FILES = (DESCRIPTION, RULE_FILE, WEIGHTS, STATES)
_MOST_IN_A_SHARD = 8192
_SHARDS = 64  # at least, of a set that has as many batches
_SCHEMA = 1
_WHAT = {
    "model": "with another model, or other thresholds",
    "images": "on other images",
    "batch_size": "with --batch-size {was}",
    "schema": "by another version of hierclf",
}


class Shard(NamedTuple):
    """Images that follow each other.

    Attributes:
        start: number of the first.
        stop: number after the last.
        part: name of the file of their rows.
    """

    start: int
    stop: int
    part: str


class Job(NamedTuple):
    """A prediction.

    Attributes:
        images: all of them, in the order of their rows.
        model: content of each file of the model directory that predictions need.
        shards: all of them, in order.
        done: what came of the shards that an earlier start has finished, by names of parts.
        batch_size: images per forward pass.
    """

    images: ImageFiles
    model: dict[str, bytes]
    shards: list[Shard]
    done: dict[str, Tally]
    batch_size: int

    @property
    def missing(self) -> list[Shard]:
        """The shards that are to be predicted."""
        return [shard for shard in self.shards if shard.part not in self.done]


def begin(
    model: Path,
    images: str,
    parts: Parts,
    *,
    reading: Mapping[str, Any],
    batch_size: int,
    shard_images: int | None = None,
) -> Job:
    """Check all that a prediction needs, and note at the place of its parts what it is.

    Args:
        model: a model directory.
        images: the images, as for `list_images_in_place`.
        parts: where the parts go: a new or empty place, or that of an earlier start.
        reading: the other arguments of `list_images_in_place`.
        batch_size: images per forward pass.
        shard_images: images per shard, whole batches; by default by the number of images.

    Raises:
        ValueError: no such model, one without thresholds, no images, a place that cannot be
            written, or one that holds other files or the parts of another prediction; one line.
    """
    if load_bundle(model).rule is None:
        raise ValueError(f"the model directory must hold {RULE_FILE}, but {model} has none")
    files = {name: (model / name).read_bytes() for name in MODEL_FILES}
    parts.check()
    listed = list_images_in_place(images, **reading)
    manifest: dict[str, Any] = {
        "schema": _SCHEMA,
        "model": hashlib.sha256(files[DESCRIPTION] + files[RULE_FILE]).hexdigest(),
        "images": _digest(listed, reading),
        "batch_size": batch_size,
        "shard_images": shard_images or images_in_a_shard(len(listed), batch_size),
        "n_images": len(listed),
    }
    there = parts.names()
    before = parts.read_json(MANIFEST) if MANIFEST in there else None
    if before is None and there:
        raise ValueError(
            f"--out must name a new or empty folder, or one that the same command began, but "
            f"{parts.out} holds other files (first: {min(there)})"
        )
    if before is None:
        text = json.dumps(manifest, indent=2) + "\n"
        parts.write(MANIFEST, lambda path: path.write_text(text, encoding="utf-8"))
    else:
        _check_same(before, manifest, parts.out)
    shards = divide(len(listed), (before or manifest)["shard_images"])
    done = parts.tallies(shard.part for shard in shards if shard.part in there)
    return Job(listed, files, shards, done, batch_size)


def images_in_a_shard(n_images: int, batch_size: int) -> int:
    """How many images a shard has: whole batches, so that batches are those of a plain prediction.

    Few enough that a small set is divided, too; the same on every cluster.
    """
    wanted = min(_MOST_IN_A_SHARD, math.ceil(n_images / _SHARDS))
    return batch_size * math.ceil(wanted / batch_size)


def divide(n_images: int, shard_images: int) -> list[Shard]:
    """The shards of so many images, all but the last of equal size."""
    starts = range(0, n_images, shard_images)
    width = max(5, len(str(len(starts))))
    return [
        Shard(start, min(start + shard_images, n_images), f"part-{number:0{width}d}.parquet")
        for number, start in enumerate(starts)
    ]


def _digest(images: ImageFiles, reading: Mapping[str, Any]) -> str:
    """Another one for other images, another order, or other content by size and time."""
    digest = hashlib.sha256(json.dumps([dict(reading), list(images.holders)]).encode())
    for name, place in zip(images.names, images.places, strict=True):
        digest.update(f"{name}\0{place!r}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _check_same(before: Any, manifest: dict[str, Any], out: str) -> None:
    before = before if isinstance(before, dict) else {}
    for key, words in _WHAT.items():
        if before.get(key) != manifest[key]:
            was = words.format(was=before.get(key))
            raise ValueError(
                f"--out must be a new folder, or the same command as before must be given to go "
                f"on, but {out} was begun {was}"
            )
