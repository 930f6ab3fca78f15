"""Labelled images in Parquet files: image bytes in one column, the two labels in two others.

Only the label and name columns are read at once. Image bytes are read by row group when they are
asked for, and few groups stay in memory.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from hierclf.data.classes import Labelled, class_rows, find_levels
from hierclf.data.columns import IMAGE, SUB, SUPER, find_columns
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.hierarchy_file import Parents
from hierclf.data.listing import Listing, Problem
from hierclf.data.parquet_images import IMAGE_COLUMNS, ParquetImages, is_text
from hierclf.data.parquet_table import (
    ParquetTable,
    cell_text,
    column_names,
    has_images,
    image_names,
    parquet_files,
    read_parquet,
)
from hierclf.data.splits import without_test

TEXT_LABELS = ("superclass", "subclass")
ID_LABELS = ("superclass_index", "subclass_index")


def has_image_labels(
    root: Path, file: Path, named: Mapping[str, str], parents: Parents | None = None
) -> bool:
    """Whether a Parquet file below `root` has image bytes and two columns of labels.

    Args:
        root: the folder.
        file: the file.
        named: columns by role that the user named.
        parents: gives super-classes to a file that has no column of them.
    """
    if not has_images(file, named.get(IMAGE)):
        return False
    columns = column_names(root, file)
    usual = any(set(labels) <= columns for labels in (TEXT_LABELS, ID_LABELS))
    return (usual and not named) or bool(_roles(columns, named, parents, []))


def list_parquet(
    path: Path,
    problems: list[Problem],
    named: Mapping[str, str] = MappingProxyType({}),
    parents: Parents | None = None,
) -> Listing | None:
    """Read one Parquet file, or those of a folder; None where none has usable columns.

    In a folder with files named train*, only those are read. Mapping CSVs in the folder name the
    integer labels that the files do not name; without them an id is its own name and novel is the
    largest id + 1.

    Args:
        path: the file or folder.
        problems: the list to add to.
        named: columns by role that the user named; others are known by their names.
        parents: gives super-classes to files that have no column of them.
    """
    files = _files(path, problems)
    table, roles = _read(path, files, named, parents, problems)
    if table is None or roles is None:
        return None
    if not table.places:
        problems.append(Problem(path.name, "no images at all", True))
        return None
    labelled = without_test(_labelled(table, roles, parents, problems), problems)
    levels = find_levels(path, labelled, problems, by_name=_by_name(roles, table))
    reader = table.reader()
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in table.files]
    return Listing(
        rows=class_rows(labelled, levels, problems),
        super_level=levels[0].classes,
        sub_level=levels[1].classes,
        read=reader.read,
        stamp=lambda place: [*stamps[place.file], *place],
        parquet=lambda places: ParquetImages(
            [str(file) for file in table.files],
            table.image_columns,
            np.array(places, dtype=np.int64),
        ),
    )


def labelled_parquet(
    path: Path, problems: list[Problem], named: Mapping[str, str], parents: Parents | None
) -> tuple[list[Labelled], bool | None]:
    """The images of one Parquet file, or of a folder's, and whether their labels are names.

    Arguments as `list_parquet`; None where the labels themselves tell.

    In a folder with files named test*, only those are read.
    """
    files = [path] if path.is_file() else parquet_files(path)
    test = [file for file in files if file.name.startswith("test")]
    table, roles = _read(path, test or files, named, parents, problems)
    if table is None or roles is None:
        return [], None
    return _labelled(table, roles, parents, problems), _by_name(roles, table)


def _read(
    path: Path,
    files: Sequence[Path],
    named: Mapping[str, str],
    parents: Parents | None,
    problems: list[Problem],
) -> tuple[ParquetTable | None, dict[str, str] | None]:
    """The rows of some files, and the column of each role; None after a problem."""
    root = path if path.is_dir() else path.parent
    columns = column_names(root, files[0]) if files else set()
    usual = next((pair for pair in (TEXT_LABELS, ID_LABELS) if set(pair) <= columns), None)
    if usual is not None and not named:
        roles = dict(zip((SUPER, SUB), usual, strict=True)) | {GROUP: GROUP, SPLIT: SPLIT}
    else:
        found: list[Problem] = []
        roles = _roles(columns, named, parents, found)
        if columns and not roles:
            problems += [problem._replace(where=path.name) for problem in found]
            return None, None
    table = read_parquet(path, files, list(roles.values()), problems, image=named.get(IMAGE))
    if table is None or not _are_labels(path, table, roles, problems):
        return table, None
    return table, roles


def _roles(
    columns: Collection[str],
    named: Mapping[str, str],
    parents: Parents | None,
    problems: list[Problem],
) -> dict[str, str]:
    """The columns of labels, groups and splits by role; empty after a problem."""
    real = {name.strip().lower(): name for name in sorted(columns)}
    # Which column holds image bytes is known by its type.
    image = named.get(IMAGE) or next((name for name in IMAGE_COLUMNS if name in real), "")
    names = list(real) if image else [*real, IMAGE]
    named = {**named, IMAGE: image or IMAGE}
    found = find_columns(names, named, problems, where="", needs_super=parents is None)
    return {role: real[name] for role, name in (found or {}).items() if role != IMAGE}


def _by_name(roles: Mapping[str, str], table: ParquetTable) -> bool | None:
    """Whether labels are names: of the usual columns it is known, of others their cells tell."""
    labels = roles.get(SUPER), roles[SUB]
    if labels == ID_LABELS and any(is_text(table.types[label]) for label in ID_LABELS):
        return None  # a file of ids may name them itself
    return labels == TEXT_LABELS if labels in (TEXT_LABELS, ID_LABELS) else None


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if path.is_file():
        return [path]
    files = parquet_files(path)
    train = [file for file in files if file.name.startswith("train")]
    for file in files if train else []:
        if file not in train:
            problems.append(Problem(file.name, "left out: only the train* files are read", False))
    return train or files


def _are_labels(
    path: Path, table: ParquetTable, roles: Mapping[str, str], problems: list[Problem]
) -> bool:
    """Whether the columns of labels are there and of types that can be labels; adds a problem."""
    labels = tuple(roles[role] for role in (SUPER, SUB) if role in roles)
    for label in labels:
        kind = table.types.get(label)
        numbers = kind is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
        if kind is None:
            problems.append(Problem(path.name, f"column {label!r} is missing", True))
            return False
        if not (is_text(kind) or (numbers and labels != TEXT_LABELS)):
            wanted = "text" if labels == TEXT_LABELS else "text or numbers"
            what = f"column {label!r} must hold {wanted}, but holds {kind}"
            problems.append(Problem(path.name, what, True))
            return False
    return True


def _labelled(
    table: ParquetTable,
    roles: Mapping[str, str],
    parents: Parents | None,
    problems: list[Problem],
) -> list[Labelled]:
    subs = [cell_text(cell) for cell in table.cells[roles[SUB]]]
    if SUPER in roles:
        supers, refused = list(map(cell_text, table.cells[roles[SUPER]])), [""] * len(subs)
    else:
        assert parents is not None
        above = [parents.above(sub) for sub in subs]
        supers, refused = [name for name, _ in above], [reason for _, reason in above]
    groups, splits = (
        map(cell_text, table.cells[roles[role]]) if roles.get(role) in table.cells else repeat(None)
        for role in (GROUP, SPLIT)
    )
    names = image_names(table.names, problems)
    columns = zip(table.where, names, zip(supers, subs, strict=True), table.places, strict=True)
    return [
        Labelled(*row, refused=reason, group=group, split=split)
        for row, reason, group, split in zip(columns, refused, groups, splits, strict=False)
    ]
