"""What an image is compared with: held-out images of known classes, and training images."""

from dataclasses import dataclass, field
from pathlib import Path

from hierclf.bundle.directory import SCORE_TABLE, Bundle
from hierclf.bundle.score_table_file import load_score_table
from hierclf.bundle.training_images_file import TrainingImages, load_training_images
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS
from hierclf.rules.evidence import KNOWN, Evidence
from hierclf.rules.expected import Units

BANK = "knn.bank"
"""Where the features of training images are among a model's states."""


@dataclass(frozen=True)
class Background:
    """What explanations compare an image with.

    Attributes:
        units: median and standard deviation of each fitted score over held-out images of known
            sub-classes, by LEVEL_NAME; empty if the model directory has no score table.
        training_images: of the kNN score; None if the model directory does not name them.
        missing: a sentence for each part that explanations must do without.
    """

    units: dict[str, Units] = field(default_factory=dict)
    training_images: TrainingImages | None = None
    missing: tuple[str, ...] = ()


def read_background(bundle: Bundle) -> Background:
    """Read from the model directory what explanations need beside the bundle.

    Never fails: what is not there, or damaged, is named in `Background.missing`.

    Args:
        bundle: from `load_bundle`.
    """
    units: dict[str, Units] = {}
    images: TrainingImages | None = None
    missing: list[str] = []
    try:
        units = _units(bundle)
    except ValueError as error:
        missing.append(f"terms are not compared with known images: {one_line(error)}")
    try:
        images = training_images_of(bundle)
    except ValueError as error:
        missing.append(f"the nearest training images have no names: {one_line(error)}")
    return Background(units, images, tuple(missing))


def _units(bundle: Bundle) -> dict[str, Units]:
    directory = _directory(bundle)
    if not (directory / SCORE_TABLE).is_file():
        raise ValueError(f"{directory} has no {SCORE_TABLE}")
    table = load_score_table(directory).table
    known = Evidence.of(table).rows(KNOWN)
    if not known.any():
        raise ValueError("the score table has no rows of known sub-classes")
    columns = [f"{level}_{name}" for level in LEVELS for name in bundle.scores]
    return {column: Units.of(table.column(column), known) for column in columns}


def training_images_of(bundle: Bundle) -> TrainingImages:
    """The images behind the rows of a model's kNN bank.

    Args:
        bundle: from `load_bundle`.

    Raises:
        ValueError: the model has no kNN score, or its directory does not name these images.
    """
    directory = _directory(bundle)
    if BANK not in bundle.states:
        raise ValueError("the model has no kNN score")
    images, rows = load_training_images(directory), len(bundle.states[BANK])
    if len(images.names) != rows:
        raise ValueError(
            f"{directory} must name the {rows} images of its kNN score, but names "
            f"{len(images.names)}"
        )
    return images


def _directory(bundle: Bundle) -> Path:
    if bundle.directory is None:
        raise ValueError("the model was not loaded from a directory")
    return bundle.directory
