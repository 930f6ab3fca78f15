"""A prediction in parts, made in this process: the workers' own code, without Ray."""

import io
from pathlib import Path
from typing import Any

import pandas as pd

from hierclf.bundle.directory import load_bundle
from hierclf.commands.predict_files import predict_to_file
from hierclf.commands.tally import Tally
from hierclf.data.image_files import list_images
from search.prediction.job import Job, Shard, begin
from search.prediction.parts import Parts
from search.prediction.worker import PredictionWorker
from tests.tiny_models import pictures, save_tiny_model

N_IMAGES, BATCH = 21, 4
BAD = ("3.png", "17.png")
READING = {"zip_encoding": None, "keep_truncated": False}


def place_of_predictions(folder: Path) -> Path:
    """A model, 21 images of which two cannot be read, and a text."""
    save_tiny_model(folder / "model")
    (folder / "images").mkdir()
    for name, data in image_bytes().items():
        (folder / "images" / name).write_bytes(data)
    (folder / "images" / "notes.txt").write_text("no image")
    return folder


def image_bytes() -> dict[str, bytes]:
    return {n: b"text" if n in BAD else data for n, data in pictures(N_IMAGES)}


def plain(place: Path) -> tuple[pd.DataFrame, Tally]:
    """What `hierclf predict` writes and counts."""
    out = place / "plain.parquet"
    images = list_images(str(place / "images"))
    tally = predict_to_file(load_bundle(place / "model"), images, out, batch_size=BATCH)
    return pd.read_parquet(out), tally


def begun(place: Path, out: object, images: object = None, **options: Any) -> tuple[Job, Parts]:
    parts = Parts(str(out))
    given: dict[str, Any] = {"reading": READING, "batch_size": BATCH, **options}
    return begin(place / "model", str(images or place / "images"), parts, **given), parts


def work(job: Job, parts: Parts, shards: list[Shard]) -> dict[str, Tally]:
    """Predict shards as a worker does."""
    worker = PredictionWorker(job.model, job.images.read_at, parts, job.batch_size, 1, False)
    worker.ready()
    return {
        part: worker.predict(part, job.images.names[start:stop], job.images.places[start:stop])
        for start, stop, part in shards
    }


def rows_of(files: dict[str, bytes]) -> pd.DataFrame:
    """The rows of parts in order of their names."""
    parts = sorted(name for name in files if name.endswith(".parquet"))
    frames = [pd.read_parquet(io.BytesIO(files[name])) for name in parts]
    return pd.concat(frames, ignore_index=True)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
