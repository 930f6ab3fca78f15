"""What is fuzzed: a target makes one damaged input, and another function takes it in."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.bundle.score_table_file import load_score_table
from hierclf.bundle.training_images_file import load_training_images
from hierclf.commands.label_tables import read_labels
from hierclf.data.image_files import list_images
from hierclf.data.images import decode, read_rgb
from hierclf.data.listing import ClassNames
from hierclf.data.novel import open_novel
from hierclf.data.sources import inspect_source
from hierclf.predict import predict_images
from hierclf.rules.answers import NUMBERS
from tests.fuzz.corpus import images, models, tables
from tests.fuzz.mutate import Rng, mutate_bytes, mutate_json, mutate_safetensors
from tests.layouts import HIERARCHY
from tests.tiny_models import pictures, sign


class Target(NamedTuple):
    """One target.

    Attributes:
        corpus: how many valid inputs there are.
        make: writes a damaged input into a folder.
        take: reads it; True where it was accepted, ValueError where it was refused.
    """

    corpus: int
    make: Callable[[Rng, Path], None]
    take: Callable[[Path], bool]


def image_target(folder: Path) -> Target:
    """The image reader, on the bytes of one file."""
    corpus = images()

    def make(rng: Rng, place: Path) -> None:
        data = mutate_bytes(rng, corpus[int(rng.integers(0, len(corpus)))], corpus)
        (place / "image").write_bytes(data)

    def take(place: Path) -> bool:
        pixels = decode((place / "image").read_bytes())
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        return True

    return Target(len(corpus), make, take)


def model_target(folder: Path) -> Target:
    """The loader of model directories, and a prediction with what it accepts."""
    corpus = models(folder)

    def make(rng: Rng, place: Path) -> None:
        files = dict(corpus[int(rng.integers(0, len(corpus)))])
        name = list(files)[int(rng.integers(0, len(files)))]
        kind, blind = name.rpartition(".")[2], rng.random() < 0.3
        if kind == "json" and not blind:
            files[name] = mutate_json(rng, files[name])
        elif kind == "safetensors" and not blind:
            files[name] = mutate_safetensors(rng, files[name])
        else:
            files[name] = mutate_bytes(rng, files[name], list(files.values()))
        for old in place.iterdir():
            old.unlink()
        for file, data in files.items():
            (place / file).write_bytes(data)
        # Most files are signed anew, or nothing but the checksums would be tried.
        if name != "bundle.json" and rng.random() < 0.9:
            sign(place)

    def take(place: Path) -> bool:
        readers = (load_card, load_score_table, load_training_images, _load_and_predict)
        refusals = []
        for read in readers:
            try:
                read(place)
            except ValueError as error:
                refusals.append(error)
        if len(refusals) == len(readers):
            raise refusals[0]
        return True

    return Target(len(corpus), make, take)


def _load_and_predict(place: Path) -> None:
    table = predict_images(load_bundle(place), pictures(2))
    assert len(table) == 2
    assert np.isfinite(table[list(NUMBERS[:4])]).all(axis=None)


LEVELS = (
    ClassNames({0: "bird", 1: "dog"}, novel_id=2),
    ClassNames({0: "owl", 1: "hen", 2: "pug"}, novel_id=3),
)


def table_target(folder: Path) -> Target:
    """The readers of data folders: CSV and mapping files, zips, Parquet and class folders.

    The same folder is read as training data, as novel images and as images to predict.
    """
    corpus = tables(folder / "corpus")

    def make(rng: Rng, place: Path) -> None:
        files = dict(corpus[int(rng.integers(0, len(corpus)))])
        name = list(files)[int(rng.integers(0, len(files)))]
        files[name] = mutate_bytes(rng, files[name], list(files.values()))
        shutil.rmtree(place)
        for file, data in files.items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(data)

    def take(place: Path) -> bool:
        with suppress(ValueError):
            list_images(str(place))
        with suppress(ValueError):
            open_novel(str(place), HIERARCHY, height=4, width=4)
        with suppress(ValueError):
            read_labels(place, LEVELS)
        source, problems = inspect_source(str(place))
        if source is None:
            raise ValueError("; ".join(p.where + p.what for p in problems if p.fatal))
        for index in range(len(source.images)):
            with suppress(ValueError):
                read_rgb(source.read, index)
        return True

    return Target(len(corpus), make, take)


TARGETS = {"images": image_target, "models": model_target, "tables": table_target}
