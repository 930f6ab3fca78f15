"""Tables of image, superclass_index and subclass_index: predictions and labels, as class indices.

Class indices are positions among a level's sorted ids; `NOVEL` stands for the novel id.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.csv_tables import parse_integer, read_csv, read_mapping
from hierclf.data.file_names import loose_form
from hierclf.data.hierarchy_file import Parents
from hierclf.data.listing import ClassNames, Problem
from hierclf.data.release import COLUMNS, SUB_MAPPING, SUPER_MAPPING
from hierclf.errors import one_line
from hierclf.hierarchy import NOVEL, NOVEL_NAME

LevelIds = tuple[ClassNames, ClassNames]
"""The ids of the super and of the sub level."""
_Rows = list[tuple[str, Sequence[Any]]]


def ids_of_model(model: Path) -> LevelIds:
    """The ids that a model directory's hierarchy uses.

    Raises:
        ValueError: not a model directory.
    """
    from hierclf.bundle.directory import load_hierarchy  # imports torch

    known = load_hierarchy(model)
    return (
        ClassNames(
            dict(zip(known.super_ids, known.super_names, strict=True)), known.novel_super_id
        ),
        ClassNames(dict(zip(known.sub_ids, known.sub_names, strict=True)), known.novel_sub_id),
    )


def ids_of_mappings(folder: Path) -> LevelIds:
    """The ids in the two mapping files of a folder.

    Raises:
        ValueError: a mapping file that is missing, malformed or without a row `novel`.
    """
    missing = [name for name in (SUPER_MAPPING, SUB_MAPPING) if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{missing[0]} must lie beside the labels in {folder} to give the novel id, but does "
            "not; or name the model directory with --model"
        )
    return _ids_of_mapping(folder / SUPER_MAPPING), _ids_of_mapping(folder / SUB_MAPPING)


def parents_of_model(model: Path) -> Parents:
    """The super-class of each sub-class of a model directory.

    Raises:
        ValueError: not a model directory.
    """
    from hierclf.bundle.directory import load_hierarchy  # imports torch

    known = load_hierarchy(model)
    names = {loose_form(name): name for name in known.sub_names}
    supers = [known.super_names[parent] for parent in known.sub_to_super]
    return Parents("the model", dict(zip(names, supers, strict=True)), names)


def read_classes(path: Path, ids: LevelIds) -> dict[str, tuple[int, int]]:
    """Read a table.

    Args:
        path: .csv or .parquet, or a folder of Parquet files; further columns are ignored.
        ids: known and novel ids of both levels.

    Returns:
        Super and sub class index by image name, in the table's order.

    Raises:
        ValueError: a file that is missing, malformed or empty, an image that appears twice, or an
            id that is neither a known class nor novel.
    """
    rows = _rows(path)
    index_of = [
        {id_: index for index, id_ in enumerate(sorted(level.names))} | {level.novel_id: NOVEL}
        for level in ids
    ]
    found: dict[str, tuple[int, int]] = {}
    first: dict[str, str] = {}
    for where, (image, *cells) in rows:
        if image in first:
            raise ValueError(
                f"{path}: every image must appear once, but {image!r} is in {first[image]} "
                f"and in {where}"
            )
        first[image] = where
        indices = []
        for column, cell, known in zip(COLUMNS[1:], cells, index_of, strict=True):
            id_ = cell if isinstance(cell, int) else parse_integer(str(cell))
            index = None if id_ is None else known.get(id_)
            if index is None:
                raise ValueError(
                    f"{path.parent / where}: {column} must be a known or the novel id, "
                    f"but got {cell!r}"
                )
            indices.append(index)
        found[image] = (indices[0], indices[1])
    if not found:
        raise ValueError(f"{path} must have rows, but has none")
    return found


def _ids_of_mapping(mapping: Path) -> ClassNames:
    problems: list[Problem] = []
    classes = read_mapping(mapping, problems)
    _refuse(mapping, problems)
    if not classes.has_novel_row:
        raise ValueError(
            f"{mapping} must have a row for the class '{NOVEL_NAME}', but has none; "
            "add it, or name the model directory with --model"
        )
    return classes


def _rows(path: Path) -> _Rows:
    if path.is_dir():  # the parts of a prediction on a cluster
        parts = sorted(path.glob("*.parquet"))
        if not parts:
            raise ValueError(f"{path} must hold .parquet files, but holds none")
        return [row for part in parts for row in _parquet_rows(part)]
    if not path.is_file():
        raise ValueError(f"{path} must be a .csv or .parquet file, but there is no such file")
    return _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)


def _csv_rows(path: Path) -> _Rows:
    problems: list[Problem] = []
    rows = read_csv(path, COLUMNS, problems)
    _refuse(path, problems)
    return list(rows)


def _parquet_rows(path: Path) -> _Rows:
    try:
        with pq.ParquetFile(path) as parquet:
            names = parquet.schema_arrow.names
            absent = [name for name in COLUMNS if name not in names]
            if absent:
                raise ValueError(
                    f"{path}: column {absent[0]!r} is missing; its columns are {', '.join(names)}"
                )
            table = parquet.read(columns=list(COLUMNS))
    except pa.ArrowException as error:
        reason = one_line(error)
        raise ValueError(f"{path} must be a Parquet file, but cannot be read: {reason}") from None
    columns = [table[name].to_pylist() for name in COLUMNS]
    return [
        (f"{path.name} row {row}", (str(image), *labels))
        for row, (image, *labels) in enumerate(zip(*columns, strict=True))
    ]


def _refuse(path: Path, problems: list[Problem]) -> None:
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ValueError(f"{path.parent / first.where}: {first.what}{more}")
