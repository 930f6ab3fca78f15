"""Labelled images in Parquet files: image bytes in one column, the two labels in two others.

Only the label and name columns are read at once. Image bytes are read by row group when they are
asked for, and few groups stay in memory.
"""

from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.classes import Labelled, class_rows, find_levels
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.listing import Listing, Problem
from hierclf.data.parquet_images import ParquetImages, is_text
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


def has_image_labels(root: Path, file: Path) -> bool:
    """Whether a Parquet file below `root` has image bytes and two columns of labels."""
    columns = column_names(root, file)
    return has_images(file) and any(set(labels) <= columns for labels in (TEXT_LABELS, ID_LABELS))


def list_parquet(path: Path, problems: list[Problem]) -> Listing | None:
    """Read one Parquet file, or those of a folder; None where none has usable columns.

    In a folder with files named train*, only those are read. Mapping CSVs in the folder name the
    integer labels; without them an id is its own name and novel is the largest id + 1.
    """
    files = _files(path, problems)
    table, labels = _read(path, files, problems)
    if table is None or labels is None:
        return None
    if not table.places:
        problems.append(Problem(path.name, "no images at all", True))
        return None
    text = labels == TEXT_LABELS
    labelled = without_test(_labelled(table, labels, problems), problems)
    levels = find_levels(path, labelled, problems, by_name=text)
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


def labelled_parquet(path: Path, problems: list[Problem]) -> tuple[list[Labelled], bool]:
    """The images of one Parquet file, or of a folder's, and whether their labels are names.

    In a folder with files named test*, only those are read.
    """
    files = [path] if path.is_file() else parquet_files(path)
    test = [file for file in files if file.name.startswith("test")]
    table, labels = _read(path, test or files, problems)
    if table is None or labels is None:
        return [], False
    return _labelled(table, labels, problems), labels == TEXT_LABELS


def _read(
    path: Path, files: Sequence[Path], problems: list[Problem]
) -> tuple[ParquetTable | None, tuple[str, str] | None]:
    table = read_parquet(path, files, (*TEXT_LABELS, *ID_LABELS, GROUP, SPLIT), problems)
    return table, None if table is None else _label_columns(path, table, problems)


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if path.is_file():
        return [path]
    files = parquet_files(path)
    train = [file for file in files if file.name.startswith("train")]
    for file in files if train else []:
        if file not in train:
            problems.append(Problem(file.name, "left out: only the train* files are read", False))
    return train or files


def _label_columns(
    path: Path, table: ParquetTable, problems: list[Problem]
) -> tuple[str, str] | None:
    """The pair of label columns, by name and type; None after a problem."""
    pairs = (pair for pair in (TEXT_LABELS, ID_LABELS) if set(pair) <= set(table.types))
    labels = next(pairs, None)
    if labels is None:
        what = f"the label columns are missing ({TEXT_LABELS} or {ID_LABELS})"
        if table.files:
            schema = pq.read_schema(table.files[0])
            what += f"; its columns are {', '.join(schema.names)}"
        problems.append(Problem(path.name, what, True))
        return None
    for label in labels:
        kind = table.types[label]
        numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not (is_text(kind) or (numbers and labels == ID_LABELS)):
            wanted = "text" if labels == TEXT_LABELS else "integers"
            what = f"column {label!r} must hold {wanted}, but holds {kind}"
            problems.append(Problem(path.name, what, True))
            return None
    return labels


def _labelled(
    table: ParquetTable, labels: tuple[str, str], problems: list[Problem]
) -> list[Labelled]:
    supers, subs = ([cell_text(cell) for cell in table.cells[column]] for column in labels)
    groups, splits = (
        map(cell_text, table.cells[column]) if column in table.cells else repeat(None)
        for column in (GROUP, SPLIT)
    )
    names = image_names(table.names, problems)
    columns = zip(table.where, names, zip(supers, subs, strict=True), table.places, strict=True)
    return [
        Labelled(*row, group=group, split=split)
        for row, group, split in zip(columns, groups, splits, strict=False)
    ]
