"""What features of a network show: labels in doubt, and sub-classes that are at odds with the rest.

Shape legend: N images of the source, M images with features, D features.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hierclf.data.source import Source
from hierclf.inspection.findings import Finding, Group, Shown
from hierclf.inspection.held_out import HeldOut, held_out_probabilities
from hierclf.inspection.label_doubts import Doubts, label_doubts
from hierclf.inspection.misplaced import Misplaced, misplaced
from hierclf.inspection.pictures import Pictures
from hierclf.inspection.two_in_one import LEVEL, TwoInOne, two_in_one
from hierclf.progress import Progress
from hierclf.training.image_groups import find_groups

_TRUSTED = 0.5
_STEPS = 4  # groups, labels, super-classes, heaps


def class_findings(
    source: Source,
    pictures: Pictures,
    rows: NDArray[np.int64],
    features: NDArray[np.float32],
    *,
    progress: Progress | None = None,
) -> tuple[list[Finding], str]:
    """Labels in doubt at either level, misplaced sub-classes, and sub-classes that look like two.

    Args:
        source: N images with labels.
        pictures: of the source; images that cannot be read are left out.
        rows: int64 [M], rows of the source.
        features: float32 [M, D], of these images.
        progress: called as (done, total) after each of the steps.

    Returns:
        The findings, and a sentence that says how far to trust them.
    """
    done = progress or (lambda step, steps: None)
    readable = ~np.isin(rows, list(pictures.unreadable))
    rows, features = rows[readable], features[readable]
    labels = source.sub_labels[rows]
    parents = np.array(source.hierarchy.sub_to_super)
    copies = _pairs_among(rows, pictures, len(source.images))
    if source.groups is not None:
        units = source.groups[rows]
    else:  # scenes found by features would hold whole classes of a network trained on these labels
        units = find_groups(labels, None, copies)
    done(1, _STEPS)
    held_out = held_out_probabilities(features, labels, units, len(parents))
    doubts = label_doubts(held_out, labels, parents)
    doubts = doubts._replace(rows=rows[doubts.rows])
    done(2, _STEPS)
    apart = misplaced(features, labels, parents)
    done(3, _STEPS)
    twofold = [
        one._replace(first=rows[one.first], second=rows[one.second])
        for one in two_in_one(features, labels, units)
    ]
    done(4, _STEPS)
    findings = [
        *_label_findings(source, doubts),
        _misplaced_finding(source, apart, rows),
        _twofold_finding(source, twofold),
    ]
    return findings, _trust(held_out, labels)


def _trust(held_out: HeldOut, labels: NDArray[np.int64]) -> str:
    right = held_out.probabilities.argmax(axis=1) == labels
    share = float(right[held_out.judged].mean()) if held_out.judged.any() else 0.0
    line = f"by other images' features, {share:.0%} have the sub-class that they look like"
    return line if share >= _TRUSTED else f"{line}: too few to trust what follows"


def _pairs_among(rows: NDArray[np.int64], pictures: Pictures, count: int) -> NDArray[np.int64]:
    """The copies among some rows, as positions in `rows`; int64 [P, 2]."""
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    same = np.array(pictures.same, dtype=np.int64).reshape(-1, 2)
    pairs = place[np.concatenate([same, pictures.near])]
    return pairs[(pairs >= 0).all(axis=1)]


def _label_findings(source: Source, doubts: Doubts) -> list[Finding]:
    known = source.hierarchy
    shown: tuple[list[Shown], list[Shown]] = [], []
    for row, suggested, given, likely in zip(*doubts, strict=True):
        parent = known.sub_to_super[suggested]
        other = parent != source.super_labels[row]
        name = known.sub_names[suggested]
        name = f"{known.super_names[parent]} / {name}" if other else name
        note = f"rather {name} ({likely:.0%})"
        shown[0 if other else 1].append(Shown(int(row), note, float(given), int(suggested)))
    text = (
        "Judged by other images only, these are as likely of another {} as images of that class "
        "are on average. The suggestion is bold, and stands above the given label."
    )
    return [
        Finding(
            f"{level}_label_doubts",
            f"{title} in doubt",
            text.format(title.lower()),
            [Group("", images)] if images else [],
        )
        for level, title, images in zip(
            ("super", "sub"), ("Super-class", "Sub-class"), shown, strict=True
        )
    ]


def _misplaced_finding(
    source: Source, apart: Sequence[Misplaced], rows: NDArray[np.int64]
) -> Finding:
    known = source.hierarchy
    groups = []
    for one in apart:
        own = known.super_names[known.sub_to_super[one.sub]]
        title = (
            f"{known.sub_names[one.sub]}: {one.share:.0%} like {known.super_names[one.nearer]}, "
            f"{one.own:.0%} like {own}"
        )
        images = rows[source.sub_labels[rows] == one.sub].tolist()
        groups.append(Group(title, [Shown(row) for row in images]))
    return Finding(
        "misplaced_subclasses",
        "Nearer to another super-class",
        "Sub-classes most of whose images look like another super-class's sub-classes, when they "
        "are hidden. Right where a hierarchy does not follow looks; otherwise, perhaps misplaced.",
        groups,
        len(groups),
    )


def _twofold_finding(source: Source, twofold: Sequence[TwoInOne]) -> Finding:
    groups = []
    for one in twofold:
        name = source.hierarchy.sub_names[one.label]
        beside = f"{name}: {len(one.first)} images beside {len(one.second)}"
        for title, images in ((beside, one.first), (f"{name}: the others", one.second)):
            groups.append(Group(title, [Shown(int(row)) for row in images]))
    return Finding(
        "two_in_one_subclasses",
        "Looks like two",
        "Sub-classes whose images form two heaps: two kinds, or two scenes or views of one. Tested "
        f"so that the chance of naming any sub-class of one heap is {LEVEL:.0%} at most, unless "
        "heaps are strongly skewed.",
        groups,
        len(twofold),
    )
