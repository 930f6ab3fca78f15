"""Findings: what one look at the data shows, in a form that text, JSON and the page share.

Shape legend: N images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.data.source import Source
from hierclf.inspection.pictures import Pictures, linked

# Chosen so that nothing of the sets at hand is named but what a person would name, and that their
# pictures, blurred by 2 % of their side, are.
_BLURRED = 0.58
_DARK, _PALE = 0.32, 0.95  # grey levels, in [0, 1]
_EMPTY = 3.0  # bits
_NARROW = 0.35  # shorter side by longer side
_TIMES = 3.0  # median size by size, or the reverse


class Shown(NamedTuple):
    """An image of a finding.

    Attributes:
        row: of the source.
        note: why it is here, in a few words; empty where the finding says it all.
        value: a figure behind it; None where there is none. Of a label in doubt, the probability
            of the given sub-class.
        suggested: the sub-class that a doubtful label should be instead.
    """

    row: int
    note: str = ""
    value: float | None = None
    suggested: int | None = None


class Group(NamedTuple):
    """Images to look at side by side; the title may be empty."""

    title: str
    images: Sequence[Shown]


class Finding(NamedTuple):
    """Images that deserve a look for one reason.

    Attributes:
        kind: a name for programs.
        title: the reason in a few words.
        text: what it means, and by which criterion.
        groups: the images, the worst first.
        n_classes: how many sub-classes it names, if it is about these.
    """

    kind: str
    title: str
    text: str
    groups: Sequence[Group]
    n_classes: int | None = None

    @property
    def amount(self) -> str:
        """How many images or sub-classes it names, in words."""
        if self.n_classes is None:
            return counted(self.n_images, "image")
        return counted(self.n_classes, "sub-class", "sub-classes")

    @property
    def n_images(self) -> int:
        """How many images all groups hold."""
        return sum(len(group.images) for group in self.groups)


def picture_findings(source: Source, pictures: Pictures) -> list[Finding]:
    """What the pictures alone show, the most harmful first; findings without images are kept."""
    copies, conflicts = _copies(source, pictures)
    return [
        Finding(
            "conflicting_copies",
            "One picture, two labels",
            "Copies of one picture in different sub-classes: at least one label is wrong.",
            conflicts,
        ),
        _unreadable(pictures),
        Finding(
            "copies",
            "Copies",
            "The same pixels twice, or one picture encoded, sized or lit anew.",
            copies,
        ),
        *_odd_pictures(pictures),
    ]


def _unreadable(pictures: Pictures) -> Finding:
    shown = [Shown(row, reason) for row, reason in pictures.unreadable.items()]
    groups = [Group("", shown)] if shown else []
    return Finding("unreadable", "Unreadable", "Left out of training.", groups)


def _copies(source: Source, pictures: Pictures) -> tuple[list[Group], list[Group]]:
    """Copies of one sub-class, and copies of several."""
    labels = source.sub_labels
    near = [(int(first), int(second)) for first, second in pictures.near]
    exact = {row for pair in pictures.same for row in pair}
    groups: tuple[list[Group], list[Group]] = [], []
    for rows in linked([*pictures.same, *near], len(source.images)):
        title = "same pixels" if exact.issuperset(rows) and not _any_near(rows, near) else "near"
        if source.is_val is not None and len(set(source.is_val[rows].tolist())) > 1:
            title += ", in train and in val"
        shown = [Shown(row) for row in rows]
        groups[len(set(labels[rows].tolist())) > 1].append(Group(title, shown))
    return groups


def _any_near(rows: Sequence[int], near: Sequence[tuple[int, int]]) -> bool:
    own = set(rows)
    return any(first in own for first, _ in near)


def _odd_pictures(pictures: Pictures) -> list[Finding]:
    width, height = pictures.figure("width"), pictures.figure("height")
    side = np.sqrt(width * height)
    readable = np.isfinite(side)
    median = float(np.median(side[readable])) if readable.any() else np.nan
    with np.errstate(invalid="ignore"):
        shape = np.minimum(width / height, height / width)
        size = np.abs(np.log(side / median))
    sizes = [
        "" if not np.isfinite(w) else f"{w:.0f} x {h:.0f}"
        for w, h in zip(width, height, strict=True)
    ]
    blur, brightest = pictures.figure("blur"), pictures.figure("brightest")
    darkest, entropy = pictures.figure("darkest"), pictures.figure("entropy")
    return [
        _odd("blurred", "Blurred", f"Blur above {_BLURRED} of 1.", blur, blur > _BLURRED),
        _odd(
            "dark",
            "Dark",
            f"99 % of the picture darker than {_DARK:.0%} grey.",
            -brightest,
            brightest < _DARK,
        ),
        _odd(
            "overexposed",
            "Overexposed",
            f"95 % of the picture brighter than {_PALE:.0%} grey.",
            darkest,
            darkest > _PALE,
        ),
        _odd(
            "little_information",
            "Little information",
            f"Less than {_EMPTY:g} bits of entropy: blank pages, single colours, error messages.",
            -entropy,
            entropy < _EMPTY,
        ),
        _odd(
            "odd_shape",
            "Odd shape",
            f"Shorter side below {_NARROW:.0%} of the longer one; training sees the middle.",
            -shape,
            shape < _NARROW,
            sizes,
        ),
        _odd(
            "odd_size",
            "Odd size",
            f"{_TIMES:g} times as large as the median picture ({median:.0f} pixels), or as small.",
            size,
            size > np.log(_TIMES),
            sizes,
        ),
    ]


def _odd(
    kind: str,
    title: str,
    text: str,
    value: NDArray[np.float64],
    found: NDArray[np.bool_],
    notes: Sequence[str] | None = None,
) -> Finding:
    """The images that `found`, bool [N], marks; those of the highest value first."""
    rows = np.flatnonzero(found)
    shown = [
        Shown(int(row), notes[row] if notes else f"{abs(value[row]):.2f}", float(abs(value[row])))
        for row in rows[np.argsort(-value[rows], kind="stable")]
    ]
    return Finding(kind, title, text, [Group("", shown)] if shown else [])
