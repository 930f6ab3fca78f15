"""`training.json` of a model directory: how the model was trained, to add classes to it.

It names the training data and holds no images. Only adding classes and registering read it: a
directory without it, or from which it was deleted, predicts as before.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hierclf.bundle.checksums import DESCRIPTION, check_sums, replaced
from hierclf.bundle.directory import TRAINING
from hierclf.config import Config, parse_config
from hierclf.errors import one_line
from hierclf.io.atomic import read_json_object, write_json_object


@dataclass(frozen=True)
class AddedClass:
    """A sub-class that was added to a model, its super-class, and how many images it came with."""

    superclass: str
    subclass: str
    images: int


@dataclass(frozen=True)
class Addition:
    """Classes that were added together.

    Attributes:
        table: absolute path of the table that names their images; None where all images of a
            place are of one class.
        images: absolute path of the images; None beside the table.
        classes: in the order of their indices.
    """

    table: str | None
    images: str | None
    classes: tuple[AddedClass, ...]


@dataclass(frozen=True)
class TrainingRecord:
    """How a model was trained.

    Attributes:
        config: with the values that the search chose, and absolute paths.
        data_fingerprint: `ImageCache.content` of the data that the search read.
        fingerprint: the same with all added classes.
        n_images: how many images it was trained on.
        additions: in order.
    """

    config: Config
    data_fingerprint: str
    fingerprint: str
    n_images: int
    additions: tuple[Addition, ...] = ()


def save_record(directory: Path, record: TrainingRecord) -> None:
    """Write or replace the record of a model directory, atomically.

    Raises:
        ValueError: not a model directory.
    """
    content = {
        "config": record.config.model_dump(mode="json"),
        "data_fingerprint": record.data_fingerprint,
        "fingerprint": record.fingerprint,
        "n_images": record.n_images,
        "additions": [asdict(addition) for addition in record.additions],
    }
    with replaced(directory, TRAINING) as temporary:
        write_json_object(temporary, content)


def load_record(directory: Path) -> TrainingRecord:
    """Read the record of a model directory.

    Raises:
        ValueError: not a model directory, or a record that is missing or damaged.
    """
    path = directory / TRAINING
    if not path.is_file():
        raise ValueError(
            f"{directory} must say how it was trained, but has no {TRAINING}; `python -m "
            "search.tune --resume NAME` writes it for the model of an earlier run"
        )
    try:
        check_sums(directory, read_json_object(directory / DESCRIPTION), [TRAINING])
        content = read_json_object(path)
        return TrainingRecord(
            config=parse_config(_typed(content, "config", dict)),
            data_fingerprint=_typed(content, "data_fingerprint", str),
            fingerprint=_typed(content, "fingerprint", str),
            n_images=_typed(content, "n_images", int),
            additions=tuple(_addition(entry) for entry in _typed(content, "additions", list)),
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = one_line(error)[:300]
        raise ValueError(f"{path} must be the record of a training, but {reason}") from None


def _addition(entry: Mapping[str, Any]) -> Addition:
    places = {
        key: None if entry[key] is None else _typed(entry, key, str) for key in ("table", "images")
    }
    if not any(places.values()):
        raise ValueError("an addition must name a table or images, but names none")
    return Addition(
        **places,
        classes=tuple(
            AddedClass(
                superclass=_typed(added, "superclass", str),
                subclass=_typed(added, "subclass", str),
                images=_typed(added, "images", int),
            )
            for added in _typed(entry, "classes", list)
        ),
    )


def _typed(content: Mapping[str, Any], key: str, kind: type) -> Any:
    value = content[key]
    if type(value) is not kind:
        raise ValueError(f"`{key}` must be of type {kind.__name__}, but got {value!r}")
    return value
