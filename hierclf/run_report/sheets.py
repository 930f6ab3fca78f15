"""Which images deserve a look: the worst mistakes, and the novel images nearest to known classes.

Shape legend: M judged rows.
"""

from typing import NamedTuple

import numpy as np

from hierclf.hierarchy import NOVEL
from hierclf.rules.evidence import FAR, KNOWN, NEAR
from hierclf.run_report.judged import Judged
from hierclf.run_report.run_files import RunFiles

MAX_IMAGES = 12
"""On a sheet."""


class Shown(NamedTuple):
    """An image of a sheet.

    Attributes:
        image: its name.
        true: the class it is of, in words.
        said: what it was called.
        note: a figure that says how bad it is.
        right: whether the decision is right.
    """

    image: str
    true: str
    said: str
    note: str
    right: bool


class Sheet(NamedTuple):
    """Images under a title; `text` says what they are."""

    title: str
    text: str
    images: list[Shown]


def sheets(run: RunFiles, judged: Judged) -> list[Sheet]:
    """The sheets of a run; one without images is left out."""
    kind, found = judged.evidence.kind, judged.found
    said_sub = found["pred_sub"].to_numpy()
    novelty = found[["super_margin", "sub_margin"]].max(axis=1).to_numpy()
    wrong = (kind == KNOWN) & (said_sub != NOVEL) & ~judged.evidence.sub_right
    sure = judged.table.column("sub_calibrated").astype(np.float64)
    refused = (kind == KNOWN) & (said_sub == NOVEL)
    taken = "taken for known where the frame says so"
    found_sheets = (
        (
            "Sure and wrong",
            "Images of known sub-classes taken for another one, the most probable first.",
            _first(judged, wrong, -sure),
            [f"{100 * p:.0f} % sure" for p in sure],
        ),
        (
            "Known, but called novel",
            "Images of known sub-classes farthest above a threshold.",
            _first(judged, refused, -novelty),
            [f"{x:.2f} above" for x in novelty],
        ),
        (
            "Nearest new sub-classes",
            f"Images of hidden sub-classes of known super-classes with the lowest scores; {taken}.",
            _first(judged, kind == NEAR, novelty),
            _distance(novelty),
        ),
        (
            "Nearest new super-classes",
            f"Images of hidden super-classes with the lowest scores; {taken}.",
            _first(judged, kind == FAR, novelty),
            _distance(novelty),
        ),
    )
    return [
        Sheet(title, text, [_shown(run, judged, row, notes[row]) for row in rows])
        for title, text, rows, notes in found_sheets
        if rows
    ]


def _first(judged: Judged, rows: np.ndarray, value: np.ndarray) -> list[int]:
    """The rows with the lowest values, each image once."""
    images = judged.table.column("image")
    order = np.flatnonzero(rows)[np.argsort(value[rows], kind="stable")]
    first = {images[row]: int(row) for row in order[::-1]}
    return sorted(first.values(), key=lambda row: (value[row], row))[:MAX_IMAGES]


def _distance(novelty: np.ndarray) -> list[str]:
    return [f"{abs(x):.2f} {'above' if x > 0 else 'below'}" for x in novelty]


def _shown(run: RunFiles, judged: Judged, row: int, note: str) -> Shown:
    table, found = judged.table, judged.found
    said_super, said_sub = int(found["pred_super"][row]), int(found["pred_sub"][row])
    if said_super == NOVEL:
        said = "novel super-class"
    elif said_sub == NOVEL:
        said = f"novel {run.class_name('super', said_super)}"
    else:
        said = run.class_name("sub", said_sub)
    true_sub = run.class_name("sub", int(table.sub.labels[row]))
    target = NOVEL if judged.evidence.kind[row] != KNOWN else int(table.sub.labels[row])
    return Shown(str(table.column("image")[row]), true_sub, said, note, said_sub == target)
