"""The report of `hierclf check`: the hierarchy with its counts, and every problem.

Shape legend: N images.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from hierclf.counts import counted
from hierclf.data.images import read_rgb
from hierclf.data.listing import Problem, short_list
from hierclf.data.source import Source
from hierclf.errors import visible
from hierclf.inspection.pictures import Pictures, read_pictures
from hierclf.progress import Progress

_SAMPLED = 32


def read_problems(source: Source, *, progress: Progress | None = None) -> list[Problem]:
    """Decode every image of a source; list those that cannot be read, and copies of others.

    Copies of different sub-classes mean that one label is wrong. Images that cannot be found are
    in `source.problems` and not repeated here.

    Args:
        source: what to read.
        progress: called as (done, total).

    Returns:
        Warnings: unreadable images, equal pixels, then near-copies.
    """
    pictures = read_pictures(source, progress=progress)
    return [
        *unreadable_problems(source, pictures),
        *(_copy(source, i, j, "shows the same pixels as") for i, j in pictures.same),
        *(_copy(source, i, j, "is a near-copy of") for i, j in pictures.near.tolist()),
    ]


def unreadable_problems(source: Source, pictures: Pictures) -> list[Problem]:
    """The images that are there and cannot be read."""
    return [
        Problem(source.images[row], reason, False)
        for row, reason in pictures.unreadable.items()
        if row not in source.missing
    ]


def _copy(source: Source, earlier: int, index: int, how: str) -> Problem:
    same = source.sub_labels[earlier] == source.sub_labels[index]
    what = f"{how} {source.images[earlier]!r}" + ("" if same else ", but has another sub-class")
    return Problem(source.images[index], what, False)


def format_check(source: Source | None, problems: Sequence[Problem]) -> str:
    """The report on a source: totals, counts as an indented hierarchy, and every problem.

    Args:
        source: None if a fatal problem left nothing to count.
        problems: from `inspect_source`, and `read_problems` if the images were read too.
    """
    blocks = [] if source is None else [_summary(source), _tree(source)]
    return "\n\n".join([*blocks, _problem_list(problems)])


def check_json(source: Source | None, problems: Sequence[Problem]) -> dict[str, Any]:
    """The same report as plain JSON values: `source`, `images`, `missing`, `classes`, `problems`.

    Args:
        source: as for `format_check`; without one, all but the problems is empty.
        problems: as for `format_check`.
    """
    listed = [problem._asdict() for problem in problems]
    if source is None:
        return {"source": None, "images": 0, "missing": 0, "classes": [], "problems": listed}
    known, counts = source.hierarchy, _counts(source)
    classes = [
        {
            "superclass": known.super_names[parent],
            "superclass_index": known.super_ids[parent],
            "subclass": known.sub_names[sub],
            "subclass_index": known.sub_ids[sub],
            "images": counts[sub],
        }
        for sub, parent in enumerate(known.sub_to_super)
    ]
    missing = len(source.missing)
    return {
        "source": source.name,
        "images": len(source.images) - missing,
        "missing": missing,
        "classes": classes,
        "problems": listed,
    }


def _summary(source: Source) -> str:
    known = source.hierarchy
    lines = [
        f"{visible(source.name)}: {counted(len(source.images) - len(source.missing), 'image')}, "
        f"{known.n_super} super-classes, {known.n_sub} sub-classes",
        f"novel ids: super {known.novel_super_id}, sub {known.novel_sub_id}",
        f"image size: {_sizes(source)}",
    ]
    if source.missing:
        lines.insert(1, f"named, but missing: {counted(len(source.missing), 'image')}")
    if source.groups is not None:
        sizes = np.unique(source.groups, return_counts=True)[1]
        together = sizes[sizes > 1]
        groups = counted(len(together), "group")
        lines.append(f"groups: {together.sum():,} images in {groups} of 2 or more")
    if source.is_val is not None:
        n_val = int(source.is_val.sum())
        lines.append(f"split: {len(source.images) - n_val} train, {n_val} val")
    return "\n".join(lines)


def _sizes(source: Source) -> str:
    """Sizes (width x height) of a sample of images, evenly spread over the source."""
    present = [index for index in range(len(source.images)) if index not in source.missing]
    picks = np.unique(np.linspace(0, len(present) - 1, _SAMPLED).round().astype(int))
    shapes = []
    for pick in picks:
        try:
            shapes.append(read_rgb(source.read, present[pick]).shape)
        except ValueError:  # listed by `read_problems`
            continue
    if not shapes:
        return f"unknown: none of {len(picks)} sampled images can be read"
    heights, widths = [shape[0] for shape in shapes], [shape[1] for shape in shapes]
    size = f"{min(widths)} x {min(heights)}"
    if len(set(shapes)) > 1:
        size += f" to {max(widths)} x {max(heights)}"
    return f"{size} ({len(shapes)} sampled)"


def _tree(source: Source) -> str:
    known, counts, lines = source.hierarchy, _counts(source), []
    for parent, name in enumerate(known.super_names):
        children = [sub for sub in range(known.n_sub) if known.sub_to_super[sub] == parent]
        total = sum(counts[sub] for sub in children)
        images = counted(total, "image")
        of = f"{images} in {counted(len(children), 'sub-class', 'sub-classes')}"
        lines.append(f"{visible(name)} ({known.super_ids[parent]}): {of}")
        lines += [
            f"  {visible(known.sub_names[sub])} ({known.sub_ids[sub]}): {counts[sub]}"
            for sub in children
        ]
    return "\n".join(lines)


def _counts(source: Source) -> Counter[int]:
    """Images that are there, by sub-class."""
    counts: Counter[int] = Counter()
    for index, label in enumerate(source.sub_labels):
        counts[int(label)] += index not in source.missing
    return counts


def _problem_list(problems: Sequence[Problem]) -> str:
    if not problems:
        return "no problems"
    errors = sum(problem.fatal for problem in problems)
    warnings = counted(len(problems) - errors, "warning")
    lines = [f"{counted(errors, 'error')}, {warnings}"]
    for problem in short_list(problems):
        kind = "error" if problem.fatal else "warning"
        lines.append(visible(f"  {kind}: {problem.where}: {problem.what}"))
    return "\n".join(lines)
