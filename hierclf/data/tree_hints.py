"""Advice for folder trees that are not what they should be."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from hierclf.data.listing import Problem
from hierclf.data.splits import split_of


def same_below_all(classes: Sequence[tuple[str, str]]) -> Problem | None:
    """A warning if all super-classes hold the same sub-classes, as splits and folds do.

    Args:
        classes: super- and sub-class of each image.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for super_name, sub_name in classes:
        below[super_name].add(sub_name)
    first, *others = below.values()
    if not others or any(names != first for names in others):
        return None
    what = (
        f"all {len(below)} hold the same sub-classes ({_some(first)}); if they are "
        "splits or folds, put two levels of classes below folders train, val and test"
    )
    return Problem(f"super-classes {_some(below)}", what, False)


def place_hint(root: Path, images: Sequence[str]) -> str:
    """Advice for files in deeper folders, and for splits below the classes.

    Args:
        root: the folder.
        images: their paths in it.
    """
    if parquet := next(root.rglob("*.parquet"), None):
        return f"; is the data set {parquet.parent}, with its Parquet files?"
    folders = [image.split("/")[:-1] for image in images]
    tops = {parts[0] for parts in folders if parts}
    if not folders or any(len(parts) != 3 for parts in folders):
        return ""
    if all(split_of(parts[2]) for parts in folders):
        return "; put the folders train, val, test above the classes"
    return f"; is the data set {root / tops.pop()}?" if len(tops) == 1 else ""


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return ", ".join([repr(first), *map(repr, others[:2])]) + (", ..." if others[2:] else "")
