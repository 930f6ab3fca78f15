"""What `hierclf check` prints: the hierarchy with its counts, and every problem.

Shape legend: N images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hierclf.data.images import map_ordered, pixel_digest, read_rgb
from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.progress import Progress

_SAMPLED = 32


def read_problems(source: Source, *, progress: Progress | None = None) -> list[Problem]:
    """Decode every image of a source; list those that cannot be read or show the same pixels.

    Equal pixels under two names may end up in training and in validation at once. Images that
    cannot even be found are left out here: they stand in `source.problems`.

    Args:
        progress: called as (done, total).
    """

    def attempt(index: int) -> str | bytes:
        try:
            image = read_rgb(source.read, index)
        except ValueError as error:
            return str(error)
        return pixel_digest(image)

    problems = []
    first: dict[bytes, int] = {}
    for index, result in enumerate(map_ordered(attempt, len(source.images))):
        name = source.images[index]
        if isinstance(result, bytes):
            earlier = first.setdefault(result, index)
            if earlier != index:
                same = source.sub_labels[earlier] == source.sub_labels[index]
                what = f"shows the same pixels as {source.images[earlier]}"
                what += "" if same else ", but has another sub-class"
                problems.append(Problem(name, what, False))
        elif index not in source.missing:
            problems.append(Problem(name, result, False))
        if progress is not None:
            progress(index + 1, len(source.images))
    return problems


def format_check(source: Source | None, problems: Sequence[Problem]) -> str:
    """The report on a source: totals, counts as an indented hierarchy, and every problem.

    Args:
        source: None where a fatal problem left nothing to count.
        problems: from `inspect_source`, and `read_problems` where the images were read too.
    """
    blocks = [] if source is None else [_summary(source), _tree(source)]
    return "\n\n".join([*blocks, _problem_list(problems)])


def _summary(source: Source) -> str:
    known = source.hierarchy
    lines = [
        f"{source.name}: {len(source.images) - len(source.missing)} images, "
        f"{known.n_super} super-classes, {known.n_sub} sub-classes",
        f"novel ids: super {known.novel_super_id}, sub {known.novel_sub_id}",
        f"image size: {_sizes(source)}",
    ]
    if source.missing:
        lines.insert(1, f"named, but missing: {len(source.missing)} images")
    return "\n".join(lines)


def _sizes(source: Source) -> str:
    """Sizes (width x height) of a few images, evenly spread over the source."""
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
    known = source.hierarchy
    counts: Counter[int] = Counter()
    for index, label in enumerate(source.sub_labels):
        counts[int(label)] += index not in source.missing
    lines = []
    for parent, name in enumerate(known.super_names):
        children = [sub for sub in range(known.n_sub) if known.sub_to_super[sub] == parent]
        total = sum(counts[sub] for sub in children)
        of = f"{total} images in {len(children)} sub-classes"
        lines.append(f"{name} ({known.super_ids[parent]}): {of}")
        lines += [
            f"  {known.sub_names[sub]} ({known.sub_ids[sub]}): {counts[sub]}" for sub in children
        ]
    return "\n".join(lines)


def _problem_list(problems: Sequence[Problem]) -> str:
    if not problems:
        return "no problems"
    ordered = sorted(problems, key=lambda problem: not problem.fatal)
    errors = sum(problem.fatal for problem in problems)
    lines = [f"{errors} errors, {len(problems) - errors} warnings"]
    for problem in ordered:
        kind = "error" if problem.fatal else "warning"
        lines.append(f"  {kind}: {problem.where}: {problem.what}")
    return "\n".join(lines)
