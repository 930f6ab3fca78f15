"""Tables in four formats, CSV, TSV, JSON lines and Parquet, as rows of text cells.

Every format gives the same: names of columns in lower case, and rows as (where, cells), where
`where` names the file and the row. A CSV counts rows as a spreadsheet does (the header is row 1),
JSON lines count from 1, Parquet from 0.
"""

import codecs
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.class_labels import class_names, names_of_ids
from hierclf.data.csv_tables import read_csv, read_header
from hierclf.data.listing import Problem
from hierclf.data.parquet_table import cell_text
from hierclf.errors import one_line

JSON_LINES = (".jsonl", ".ndjson")
TABLE_ENDINGS = (".csv", ".tsv", *JSON_LINES, ".parquet")
TableRow = tuple[str, list[str]]
_MOST_OF_A_LINE = 1 << 20
_LINES_OF_HEADER = 100  # a key may be absent in the first objects


def is_table(path: Path) -> bool:
    """Whether a file is a table by its ending."""
    return path.suffix.lower() in TABLE_ENDINGS


def table_columns(path: Path) -> list[str]:
    """Names of the columns, stripped, in lower case; empty if the file cannot be read."""
    match path.suffix.lower():
        case ".parquet":
            try:
                return [name.strip().lower() for name in pq.read_schema(path).names]
            except (pa.ArrowException, OSError):
                return []
        case ending if ending in JSON_LINES:
            return _json_columns(path)
        case _:
            return read_header(path)


def read_table(
    path: Path, columns: Sequence[str], problems: list[Problem], *, name: str | None = None
) -> list[TableRow]:
    """The cells of the named columns, stripped; an empty cell for null.

    Args:
        path: ends as one of TABLE_ENDINGS; any other ending is read as CSV.
        columns: names that `table_columns` lists.
        problems: the list to add to.
        name: the file's name in messages; by default its own.
    """
    name = name or path.name
    match path.suffix.lower():
        case ".parquet":
            return _read_parquet(path, columns, problems, name)
        case ending if ending in JSON_LINES:
            return _read_json_lines(path, columns, problems, name)
        case _:
            return read_csv(path, columns, problems, name=name)


def _json_columns(path: Path) -> list[str]:
    names: dict[str, None] = {}
    try:
        with _open_text(path) as file:
            for line, _ in zip(_lines(file), range(_LINES_OF_HEADER), strict=False):
                content = _object(line)
                if isinstance(content, dict):
                    names |= dict.fromkeys(_keyed(content))
    except (OSError, UnicodeError):
        return []
    return list(names)


def _read_json_lines(
    path: Path, columns: Sequence[str], problems: list[Problem], name: str
) -> list[TableRow]:
    rows: list[TableRow] = []
    try:
        with _open_text(path) as file:
            for number, line in enumerate(_lines(file), start=1):
                if not line.strip():
                    continue
                where = f"{name} line {number}"
                content = _object(line)
                if number == 1 and line.lstrip().startswith("["):
                    what = "is a JSON list; write its objects one a line, without [ ] and commas"
                    problems.append(Problem(name, what, True))
                    break
                if isinstance(content, str):
                    problems.append(Problem(where, content, True))
                    continue
                cells = [_keyed(content).get(column) for column in columns]
                nested = [
                    c for c, v in zip(columns, cells, strict=True) if isinstance(v, dict | list)
                ]
                if nested:
                    what = f"{nested[0]!r} must be text or a number, but is a list or an object"
                    problems.append(Problem(where, what, True))
                    continue
                rows.append((where, [cell_text(cell) for cell in cells]))
    except UnicodeError:
        problems.append(Problem(name, "is not UTF-8 text; save it as UTF-8", True))
    return rows


def _object(line: str) -> dict[str, Any] | str:
    """The object that a line holds, or what is wrong with the line."""
    if len(line) > _MOST_OF_A_LINE:
        return f"is longer than {_MOST_OF_A_LINE:,} characters"
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return "is not a JSON object"
    return content if isinstance(content, dict) else "is JSON, but not an object in {}"


def _keyed(content: dict[str, Any]) -> dict[str, Any]:
    return {key.strip().lower(): value for key, value in content.items()}


def _lines(file: TextIO) -> Iterator[str]:
    """Lines, of which one that is too long is cut: memory stays bounded."""
    while line := file.readline(_MOST_OF_A_LINE + 1):
        yield line
        while len(line) > _MOST_OF_A_LINE and not line.endswith("\n"):
            line = file.readline(_MOST_OF_A_LINE + 1)


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as binary:
        wide = binary.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    with path.open(encoding="utf-16" if wide else "utf-8-sig") as file:
        yield file


def _read_parquet(
    path: Path, columns: Sequence[str], problems: list[Problem], name: str
) -> list[TableRow]:
    try:
        with pq.ParquetFile(path) as parquet:
            schema = parquet.schema_arrow
            real = {column.strip().lower(): column for column in reversed(schema.names)}
            kinds = {column: schema.field(real[column]).type for column in columns}
            odd = [column for column, kind in kinds.items() if pa.types.is_nested(kind)]
            if odd:
                what = f"column {odd[0]!r} must hold text or numbers, but holds {kinds[odd[0]]}"
                problems.append(Problem(name, what, True))
                return []
            content = parquet.read(columns=[real[column] for column in columns])
            names = class_names(schema)
    except (pa.ArrowException, OSError) as error:
        problems.append(Problem(name, f"cannot be read as Parquet: {one_line(error)}", True))
        return []
    where = [f"{name} row {number}" for number in range(content.num_rows)]
    cells = [content.column(real[column]).to_pylist() for column in columns]
    for position, column in enumerate(real[column] for column in columns):
        if column in names:
            ids, known = cells[position], names[column]
            cells[position] = names_of_ids(ids, known, column, where, problems)
    rows = zip(*cells, strict=True)
    return [(row, [cell_text(cell) for cell in cut]) for row, cut in zip(where, rows, strict=True)]
