"""From label cells to classes, by names or by ids, the same for every layout.

A layout's reader lists `Labelled` images, whose labels are texts. `find_levels` finds
the classes, in mapping files or else in the labels, and `class_rows` turns texts into ids.
"""

import difflib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hierclf.data.csv_tables import parse_integer, read_mapping
from hierclf.data.listing import ClassNames, Problem, Row
from hierclf.hierarchy import is_novel_name

KINDS = ("superclass", "subclass")


class Labelled(NamedTuple):
    """One labelled image, as its layout lists it, before its labels are classes."""

    where: str
    image: str
    labels: tuple[str, str]  # super, sub: names or ids; empty where there is none
    key: Any = None  # the argument of the listing's `read` and `stamp`
    missing: str = ""  # the reason why the image cannot be found
    refused: str = ""  # the reason why the row must not be used
    group: str | None = None  # the cell of the `group` column; None without that column
    split: str | None = None  # the cell of the `split` column; None without that column


class ClassLevel(NamedTuple):
    """The classes of one level, and whether label cells hold their names or their ids."""

    classes: ClassNames
    by_name: bool


def find_levels(
    folder: Path,
    labelled: Sequence[Labelled],
    problems: list[Problem],
    *,
    by_name: bool | None = None,
) -> list[ClassLevel]:
    """The classes of both levels: of the mapping files in a folder, or else of the labels.

    Args:
        folder: may hold superclass_mapping.csv and subclass_mapping.csv.
        labelled: the images with their labels.
        problems: the list to add to.
        by_name: whether labels are names, which need no mapping; by default a level of integers
            holds ids.
    """
    levels = []
    for position, kind in enumerate(KINDS):
        values = {image.labels[position] for image in labelled if not image.refused}
        names = not holds_ids(values) if by_name is None else by_name
        mapping = folder / f"{kind}_mapping.csv"
        if not by_name and mapping.is_file():
            levels.append(ClassLevel(read_mapping(mapping, problems), names))
        else:
            levels.append(level_of(values, by_name=names))
    return levels


def level_of(values: Collection[str], *, by_name: bool) -> ClassLevel:
    """The classes that label cells name.

    Names are numbered in sorted order. An id is its own name, and the largest id + 1 is novel.
    """
    if by_name:
        names = sorted(name for name in set(values) - {""} if not is_novel_name(name))
        return ClassLevel(ClassNames(dict(enumerate(names)), len(names)), True)
    ids = {parse_integer(value) for value in values} - {None}
    known = {i: str(i) for i in sorted(i for i in ids if i is not None)}
    return ClassLevel(ClassNames(known, max(known, default=-1) + 1), False)


def holds_ids(values: Collection[str]) -> bool:
    """Whether the cells of a column of labels are integers, apart from empty ones."""
    filled = [value for value in values if value]
    return bool(filled) and all(parse_integer(value) is not None for value in filled)


def class_rows(
    labelled: Sequence[Labelled], levels: Sequence[ClassLevel], problems: list[Problem]
) -> list[Row]:
    """The rows whose labels are known classes; a problem for each other row.

    Args:
        labelled: what a layout's reader listed.
        levels: the classes of the super and of the sub level.
        problems: the list to add to.
    """
    finders = [_Finder(kind, level) for kind, level in zip(KINDS, levels, strict=True)]
    rows = []
    for image in labelled:
        if image.refused:
            problems.append(Problem(image.where, image.refused, True))
            continue
        found = [f.find(text) for f, text in zip(finders, image.labels, strict=True)]
        problems += [Problem(image.where, what, True) for what in found if isinstance(what, str)]
        super_id, sub_id = found
        if isinstance(super_id, str) or isinstance(sub_id, str):
            continue
        key = None if image.missing else image.key
        division = image.missing, image.group, image.split
        rows.append(Row(image.where, image.image, super_id, sub_id, key, *division))
    return rows


class _Finder:
    """Finds the id that a label's text means."""

    def __init__(self, kind: str, level: ClassLevel) -> None:
        self._kind, self._level = kind, level
        self._ids = {name: i for i, name in level.classes.names.items()}

    def find(self, text: str) -> int | str:
        """The id, or the reason why there is none."""
        known, label = self._level.classes, f"{self._kind} label"
        if not text:
            return f"the {label} is empty"
        if not self._level.by_name:
            value = parse_integer(text)
        elif is_novel_name(text):
            value = known.novel_id
        else:
            value = self._ids.get(text)
        if value is not None and value == known.novel_id:
            return f"{label} {value} is 'novel', which training data must not hold"
        if value is not None and value in known.names:
            return value
        if value is not None:
            return f"{label} {value} is not in the mapping"
        if self._level.by_name:
            return f"{label} {text!r} is not in the mapping{self._alike(text)}"
        return f"{label} {text!r} is not an integer"

    def _alike(self, text: str) -> str:
        alike = difflib.get_close_matches(text, self._ids, n=1)
        return f"; is it {alike[0]!r}?" if alike else ""
