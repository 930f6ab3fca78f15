"""What `hierclf check --images` does: look at every image, and show what deserves a look.

Shape legend: M images with features, D features.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from hierclf.commands.check import unreadable_problems
from hierclf.counts import counted
from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.errors import one_line
from hierclf.inspection.class_findings import class_findings
from hierclf.inspection.findings import picture_findings
from hierclf.inspection.pictures import read_pictures
from hierclf.inspection.sheet import findings_json, findings_page, findings_text
from hierclf.io.atomic import draft_of
from hierclf.progress import progress

_SAME_CLASSES = 0.5  # far below what corrected labels leave


class Inspected(NamedTuple):
    """What a look at the images found.

    Attributes:
        problems: for the list of `check`.
        text: the findings, in lines.
        plain: the findings as plain JSON values.
    """

    problems: list[Problem]
    text: str
    plain: dict[str, Any]


class Known(NamedTuple):
    """Images of a source whose features a model keeps.

    Attributes:
        rows: int64 [M], rows of the source.
        features: float32 [M, D].
        note: a sentence that says how many.
    """

    rows: NDArray[np.int64]
    features: NDArray[np.float32]
    note: str


def inspect_images(source: Source, model: Path | None, *, html_file: Path | None) -> Inspected:
    """Read every image, and say what deserves a look; progress is on stderr.

    Args:
        source: what to read.
        model: a model directory or a run's folder; None looks at the pictures alone.
        html_file: where to write the page; None writes none.

    Raises:
        ValueError: the model does not keep features of images of the source; before any is read.
    """
    known = None if model is None else known_images(source, model)
    with progress("reading images") as report:
        pictures = read_pictures(source, progress=report)
    findings, notes = picture_findings(source, pictures), []
    if known is not None:
        with progress("comparing classes") as report:
            about, trust = class_findings(
                source, pictures, known.rows, known.features, progress=report
            )
        findings, notes = [*about, *findings], [known.note, trust]
    text = findings_text(source, findings, notes)
    if html_file is not None:
        with progress("drawing the page") as report:
            page = findings_page(source, findings, notes, progress=report)
        with draft_of(html_file) as draft:
            draft.write_text(page, encoding="utf-8")
        text += f"\nwrote {html_file}"
    plain = findings_json(source, findings, notes)
    return Inspected(unreadable_problems(source, pictures), text, plain)


def known_images(source: Source, model: Path) -> Known:
    """The images of a source whose features a model keeps, found by their names.

    Labels are the source's: those that were corrected since training count as they are now.

    Args:
        source: the data.
        model: a model directory or a run's folder.

    Raises:
        ValueError: no such model, or it keeps no features of these images.
    """
    # Imported here: pictures alone need no torch.
    from hierclf.bundle.directory import load_bundle
    from hierclf.explanations.background import BANK, training_images_of

    bundle = load_bundle(model / "model" if (model / "model").is_dir() else model)
    try:
        names, labels = training_images_of(bundle)
    except ValueError as error:
        raise ValueError(f"--model must keep its training images, but {one_line(error)}") from None
    row_of = {name: row for row, name in enumerate(source.images)}
    found = {row_of[name]: number for number, name in enumerate(names) if name in row_of}
    if not found:
        raise ValueError(
            f"--model must be trained on images of {source.name}, but none of its "
            f"{counted(len(names), 'image')} is among them (first: {names[0]!r})"
        )
    rows, numbers = (np.array(list(part)) for part in (found, found.values()))
    # Names such as 1.png are common: the pictures of another set must not stand for these.
    agreement = adjusted_rand_score(source.sub_labels[rows], labels[numbers])
    if agreement < _SAME_CLASSES:
        raise ValueError(
            f"--model must be trained on images of {source.name}, but its images of the same names "
            f"have other classes (adjusted Rand index {agreement:.2f}, below {_SAME_CLASSES})"
        )
    features = bundle.states[BANK][numbers]
    note = (
        f"classes are compared by {model}'s features of {len(rows):,} of "
        f"{counted(len(source.images), 'image')}"
    )
    return Known(rows, features, note)
