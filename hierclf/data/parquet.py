"""Labelled images in Parquet files: image bytes in one column, the two labels in two others.

Only the label and name columns are read at once. Image bytes come by row group when they are asked
for, and few groups stay in memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.csv_tables import label_ids, read_mapping
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.listing import (
    ClassNames,
    Listing,
    Problem,
    Row,
)
from hierclf.errors import one_line
from hierclf.hierarchy import is_novel_name

IMAGE_COLUMNS = ("image", "image_bytes", "bytes")
NAME_COLUMNS = ("image_name", "path", "id")
TEXT_LABELS = ("superclass", "subclass")
ID_LABELS = ("superclass_index", "subclass_index")
_GROUPS_IN_MEMORY = 2


class _Place(NamedTuple):
    """Where an image's bytes are."""

    file: int
    group: int
    row: int  # within the group


class _Cells(NamedTuple):
    """One row before its labels are checked."""

    where: str
    name: Any
    labels: tuple[Any, Any]
    place: _Place
    division: dict[str, str]  # the cells of the columns `group` and `split`, where there are any


def list_parquet(path: Path, problems: list[Problem]) -> Listing | None:
    """Read one Parquet file, or those directly in a folder; None where none has usable columns.

    In a folder with files named train*, only those are read. Mapping CSVs in the folder name the
    integer labels; without them an id is its own name and novel is the largest id + 1.
    """
    files = _files(path, problems)
    cells: list[_Cells] = []
    kinds: set[tuple[str, ...]] = set()
    columns: list[str] = []
    for number, file in enumerate(files):
        try:
            with pq.ParquetFile(file) as parquet:
                chosen = _choose(parquet.schema_arrow, file.name, problems)
                if chosen is None:
                    return None
                kinds.add((*chosen.labels, *chosen.division))
                columns.append(chosen.image)
                cells += _read_cells(parquet, file.name, number, chosen)
        except (pa.ArrowException, OSError) as error:
            reason = one_line(error)
            problems.append(Problem(file.name, f"cannot be read as Parquet: {reason}", True))
            return None
    if len(kinds) > 1:
        what = f"its files have different columns of labels, {GROUP} or {SPLIT}"
        problems.append(Problem(path.name, what, True))
        return None
    if not cells:
        problems.append(Problem(path.name, "no images at all", True))
        return None
    text = next(iter(kinds))[:2] == TEXT_LABELS
    levels = _levels(path, cells, text, problems)
    reader = _Reader(files, columns)
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return Listing(
        rows=_rows(cells, levels, text, problems),
        super_level=levels[0],
        sub_level=levels[1],
        read=reader.read,
        stamp=lambda place: [*stamps[place.file], *place],
        parquet=lambda places: ParquetImages(
            [str(file.resolve()) for file in files], columns, np.array(places, dtype=np.int64)
        ),
    )


class ParquetImages(NamedTuple):
    """Where the images of a source are, for readers in other processes.

    Attributes:
        files: absolute paths.
        columns: of each file, the one that holds the image bytes.
        places: int64 [N, 3]: file, row group and row within the group of each image.
    """

    files: list[str]
    columns: list[str]
    places: np.ndarray


class _Columns(NamedTuple):
    image: str  # "image", or "image.bytes" for a struct
    labels: tuple[str, str]
    name: str | None
    division: tuple[str, ...] = ()  # those of the columns `group` and `split` that there are


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(path.glob("*.parquet"))
    train = [file for file in files if file.name.startswith("train")]
    for file in files if train else []:
        if file not in train:
            problems.append(Problem(file.name, "left out: only the train* files are read", False))
    return train or files


def _choose(schema: Any, file: str, problems: list[Problem]) -> _Columns | None:
    """Pick the columns by name and type; a problem for each kind that is missing."""
    types = {field.name: field.type for field in schema}
    image = next((name for name in IMAGE_COLUMNS if _holds_bytes(types.get(name))), None)
    labels = next((pair for pair in (TEXT_LABELS, ID_LABELS) if set(pair) <= set(types)), None)
    found = f"its columns are {', '.join(types)}"
    if image is None:
        names = ", ".join(IMAGE_COLUMNS)
        what = f"a column of image bytes is missing (one of {names}); {found}"
        problems.append(Problem(file, what, True))
    if labels is None:
        what = f"the label columns are missing ({TEXT_LABELS} or {ID_LABELS}); {found}"
        problems.append(Problem(file, what, True))
        return None
    fits = _is_text if labels == TEXT_LABELS else pa.types.is_integer
    for label in labels:
        if not fits(types[label]):
            kind = "text" if labels == TEXT_LABELS else "integers"
            what = f"column {label!r} must hold {kind}, but holds {types[label]}"
            problems.append(Problem(file, what, True))
            return None
    if image is None:
        return None
    path = f"{image}.bytes" if pa.types.is_struct(types[image]) else image
    name = next((name for name in NAME_COLUMNS if name in types), None)
    return _Columns(path, labels, name, tuple(c for c in (GROUP, SPLIT) if c in types))


def _holds_bytes(kind: Any) -> bool:
    """Whether a column's type is binary, or a struct with a binary field `bytes`."""
    if kind is not None and pa.types.is_struct(kind):
        inner = kind.get_field_index("bytes")
        kind = kind.field(inner).type if inner >= 0 else None
    return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _read_cells(parquet: Any, file: str, number: int, columns: _Columns) -> list[_Cells]:
    wanted = [*columns.labels, *([columns.name] if columns.name else []), *columns.division]
    table = parquet.read(columns=wanted)
    values = {name: table.column(name).to_pylist() for name in wanted}
    places = [
        _Place(number, group, row)
        for group in range(parquet.num_row_groups)
        for row in range(parquet.metadata.row_group(group).num_rows)
    ]
    names = values[columns.name] if columns.name else [None] * len(places)
    super_cells, sub_cells = (values[name] for name in columns.labels)
    return [
        _Cells(
            f"{file} row {row}",
            names[row],
            (super_cells[row], sub_cells[row]),
            place,
            {column: _text(values[column][row]) for column in columns.division},
        )
        for row, place in enumerate(places)
    ]


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _levels(
    path: Path, cells: Sequence[_Cells], text: bool, problems: list[Problem]
) -> tuple[ClassNames, ClassNames]:
    """Classes from the mapping files, or else from the values that occur, in sorted order."""
    levels = []
    for position, kind in enumerate(("superclass", "subclass")):
        mapping = path / f"{kind}_mapping.csv"
        if not text and path.is_dir() and mapping.is_file():
            levels.append(read_mapping(mapping, problems))
            continue
        values = {cell.labels[position] for cell in cells} - {None}
        if text:
            texts = {value.strip() for value in values} - {""}
            known = dict(enumerate(sorted(t for t in texts if not is_novel_name(t))))
        else:
            known = {int(value): str(value) for value in sorted(values)}
        levels.append(ClassNames(known, max(known, default=-1) + 1))
    return levels[0], levels[1]


def _rows(
    cells: Sequence[_Cells],
    levels: tuple[ClassNames, ClassNames],
    text: bool,
    problems: list[Problem],
) -> list[Row]:
    names = ["" if cell.name is None else str(cell.name) for cell in cells]
    if "" in names or len(set(names)) < len(names):
        if any(names):
            what = "empty or repeated image names; row numbers stand for all of them"
            problems.append(Problem("the name column", what, False))
        names = [str(number) for number in range(len(cells))]
    ids = [{name: i for i, name in level.names.items()} for level in levels]
    rows = []
    for cell, name in zip(cells, names, strict=True):
        texts = [_text(label) for label in cell.labels]
        if text:
            # Text becomes the id that its level gave it, so that one check serves both kinds.
            texts = [
                str(level.novel_id) if is_novel_name(t) else t and str(of[t])
                for t, of, level in zip(texts, ids, levels, strict=True)
            ]
        found = label_ids(cell.where, texts, levels, problems)
        if found is not None:
            groups = cell.division.get(GROUP), cell.division.get(SPLIT)
            rows.append(Row(cell.where, name, *found, cell.place, "", *groups))
    return rows


def read_group(file: Path | str, group: int, column: str) -> Any:
    """The cells of a column of image bytes in one row group, an array of Arrow.

    Raises:
        ValueError: it cannot be read.
        OSError: the file cannot.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            return parquet.read_row_group(group, columns=[column]).column(0)
    except pa.ArrowException as error:
        reason = one_line(error)
        raise ValueError(f"its row group cannot be read: {reason}") from None


def cell_bytes(cell: Any) -> bytes:
    """What a cell of `read_group` holds; ValueError where that is nothing."""
    data = cell.as_py()
    if isinstance(data, dict):
        data = data["bytes"]
    if data is None:
        raise ValueError("the row holds no image bytes")
    return data


class _Reader:
    """Reads image bytes by row group; one thread reads a file at a time, decoding is elsewhere."""

    def __init__(self, files: Sequence[Path], columns: Sequence[str]) -> None:
        self._files, self._columns = files, columns
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, place: _Place) -> bytes:
        """Encoded bytes of one image.

        Raises:
            ValueError: the row holds no bytes, or its row group cannot be read.
        """
        with self._lock:
            cell = self._group(place.file, place.group)[place.row]
        return cell_bytes(cell)

    def _group(self, file: int, group: int) -> Any:
        key = (file, group)
        if key not in self._groups:
            self._groups[key] = read_group(self._files[file], group, self._columns[file])
            if len(self._groups) > _GROUPS_IN_MEMORY:
                self._groups.popitem(last=False)
        return self._groups[key]
