"""What an image is compared with: known images that the networks of a search did not train on."""

from dataclasses import dataclass, field

from hierclf.bundle.directory import SCORE_TABLE, Bundle
from hierclf.bundle.score_table_file import load_score_table
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS
from hierclf.rules.evidence import KNOWN, Evidence
from hierclf.rules.expected import Units


@dataclass(frozen=True)
class Background:
    """What explanations compare an image with.

    Attributes:
        units: median and standard deviation of each fitted score over held-out images of known
            sub-classes, by LEVEL_NAME; empty if the model directory has no score table.
        missing: a sentence for each part that explanations must do without.
    """

    units: dict[str, Units] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def read_background(bundle: Bundle) -> Background:
    """Read from the model directory what explanations need beside the bundle.

    Never fails: what is not there, or damaged, is named in `Background.missing`.

    Args:
        bundle: from `load_bundle`.
    """
    try:
        return Background(_units(bundle))
    except ValueError as error:
        what = f"terms are not compared with known images: {one_line(error)}"
        return Background(missing=(what,))


def _units(bundle: Bundle) -> dict[str, Units]:
    if bundle.directory is None:
        raise ValueError("the model was not loaded from a directory")
    if not (bundle.directory / SCORE_TABLE).is_file():
        raise ValueError(f"{bundle.directory} has no {SCORE_TABLE}")
    table = load_score_table(bundle.directory).table
    known = Evidence.of(table).rows(KNOWN)
    if not known.any():
        raise ValueError("the score table has no rows of known sub-classes")
    columns = [f"{level}_{name}" for level in LEVELS for name in bundle.scores]
    return {column: Units.of(table.column(column), known) for column in columns}
