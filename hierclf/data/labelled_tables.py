"""Tables of image files and labels: CSV, TSV, JSON lines or Parquet, one or one for each split.

Images are looked for in the folder of the table and its zips. Labels are names or ids, and a table
without super-classes takes them from a hierarchy file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.data.classes import ClassLevel, Labelled, class_rows
from hierclf.data.columns import IMAGE, SUB, SUPER, find_columns
from hierclf.data.file_names import LEAVES, is_absolute, leaves, loose_form
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.hierarchy_file import Parents
from hierclf.data.image_store import Entry, ImageStore
from hierclf.data.listing import Listing, Problem, Row
from hierclf.data.table_files import JSON_LINES, read_table, table_columns


class Part(NamedTuple):
    """One table of a set.

    Attributes:
        file: the table.
        prefix: "", or the folder that image names are relative to, such as "train/".
        split: of all its images; None where the folder names none.
    """

    file: Path
    prefix: str = ""
    split: str | None = None


def read_parts(
    parts: Sequence[Part],
    named: Mapping[str, str],
    problems: list[Problem],
    *,
    store: ImageStore | None = None,
    parents: Parents | None = None,
) -> list[Labelled]:
    """The labelled images of some tables.

    Args:
        parts: the tables.
        named: columns by role, as `columns.parse_columns` gives them; others are known by name.
        problems: the list to add to.
        store: finds the images; without one, they are not looked for.
        parents: gives super-classes to a table that has no column of them.
    """
    return [row for part in parts for row in _read_part(part, named, problems, store, parents)]


def list_rows(
    labelled: Sequence[Labelled],
    levels: Sequence[ClassLevel],
    store: ImageStore,
    problems: list[Problem],
    *,
    table: str,
) -> Listing:
    """Turn labels into classes, and name images that were given by absolute paths.

    Args:
        labelled: the rows of a set's tables.
        levels: the classes of the super and of the sub level.
        store: what found the images.
        problems: the list to add to.
        table: the table's name, for messages.
    """
    rows = class_rows(labelled, levels, problems)
    _note_absolute(rows, table, problems)
    super_level, sub_level = (level.classes for level in levels)
    return Listing(rows, super_level, sub_level, store.read, stamp=lambda entry: list(entry.stamp))


def _read_part(
    part: Part,
    named: Mapping[str, str],
    problems: list[Problem],
    store: ImageStore | None,
    parents: Parents | None,
) -> list[Labelled]:
    name = f"{part.prefix}{part.file.name}"
    header = table_columns(part.file)
    if not header:
        before = len(problems)
        if part.file.stat().st_size > 0:  # the reader knows why
            read_table(part.file, [IMAGE], problems, name=name)
        if len(problems) == before:
            problems.append(Problem(name, "has no columns: it is empty", True))
        return []
    ending = part.file.suffix.lower()
    where = name if ending in (".parquet", *JSON_LINES) else f"{name} row 1"
    needs_super = parents is None
    columns = find_columns(header, named, problems, where=where, needs_super=needs_super)
    if columns is None:
        return []
    found = []
    for place, cells in read_table(part.file, list(columns.values()), problems, name=name):
        cell = dict(zip(columns, cells, strict=True))
        labelled = _labelled(place, cell, part, parents)
        found.append(labelled if store is None else _located(labelled, part.prefix, store))
    return found


def _labelled(where: str, cell: Mapping[str, str], part: Part, parents: Parents | None) -> Labelled:
    image, sub = cell[IMAGE], cell[SUB]
    super_name, refused = cell.get(SUPER), ""
    if super_name is None:
        assert parents is not None
        super_name, refused = parents.above(sub)
    if not image:
        refused = "the image name is empty"
    elif leaves(image):
        refused = f"image {image!r}: {LEAVES}"
    return Labelled(
        where,
        image if is_absolute(image) else part.prefix + image,
        (super_name, sub),
        refused=refused,
        group=cell.get(GROUP),
        split=part.split or cell.get(SPLIT),
    )


def _located(labelled: Labelled, prefix: str, store: ImageStore) -> Labelled:
    """The same with its file, or the reason why there is none."""
    if labelled.refused:
        return labelled
    entry = store.locate(labelled.image)
    if not isinstance(entry, Entry):
        return labelled._replace(missing=entry)
    if entry.unsafe:
        return labelled._replace(refused=f"image {labelled.image!r}: {entry.unsafe}")
    # Found by its last part alone, an image of one split would be taken for another's.
    if f"/{loose_form(prefix)}" not in f"/{loose_form(entry.path)}":
        return labelled._replace(missing=f"image {labelled.image!r} is not in {prefix}")
    return labelled._replace(key=entry)


def _note_absolute(rows: Sequence[Row], table: str, problems: list[Problem]) -> None:
    absolute = [row.image for row in rows if is_absolute(row.image)]
    if not absolute:
        return
    what = counted(
        len(absolute),
        "image is named by an absolute path: the folder was searched for the path's end",
        "images are named by absolute paths: the folder was searched for the paths' ends",
    )
    problems.append(Problem(table, f"{what} (first: {absolute[0]!r})", False))
