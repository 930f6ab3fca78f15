"""CSV files and mapping files, read with row numbers for every problem."""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from hierclf.counts import counted
from hierclf.data.listing import ClassNames, Problem
from hierclf.hierarchy import is_novel_name

# Eighteen digits always fit into int64. Three zeros after a comma would be thousands.
_INTEGER = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*|,00?)?")
_DELIMITERS = ",;\t|"  # the first one where a header has none
_SEP_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_MOST_OF_A_LINE = 1 << 20
_Line = tuple[int, list[str]]


def parse_integer(text: str) -> int | None:
    """The integer that a cell holds, or None; 3.0 and 3,0, as joins of tables write it, are 3."""
    match = _INTEGER.fullmatch(text.strip())
    return int(match[1]) if match else None


def read_header(path: Path) -> list[str]:
    """Column names of a CSV, stripped, in lower case; empty where it cannot be read."""
    try:
        with _lines(path) as lines:
            return next(lines, (0, []))[1]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def read_csv(
    path: Path, columns: Sequence[str], problems: list[Problem], *, name: str | None = None
) -> list[tuple[str, list[str]]]:
    """The named columns of a CSV as (where, stripped cells), without empty lines.

    UTF-8, or UTF-16 with its mark. Cells are separated by the one of , ; tab | that the header has
    most of, those of a .tsv by tabs. Names of columns count in any case. A row of another length
    than the header is a problem: a separator without quotes would have moved its cells.

    Args:
        path: the file.
        columns: names in lower case.
        problems: the list to add to.
        name: the file's name in messages; by default its own.
    """
    name = name or path.name
    if not path.is_file():
        problems.append(Problem(name, "no such file", True))
        return []
    try:
        with _lines(path) as lines:
            _, header = next(lines, (0, []))
            rows = [(number, cells) for number, cells in lines if any(cells)]
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 text ({error.reason}); save it as UTF-8"
        problems.append(Problem(name, what, True))
        return []
    except csv.Error as error:
        problems.append(Problem(name, f"is not a CSV file: {error}", True))
        return []
    absent = [column for column in columns if column not in header]
    if absent:
        there = " ".join(", ".join(header).split())
        what = f"column {absent[0]!r} is missing; its columns are {there}"
        problems.append(Problem(f"{name} row 1", what, True))
        return []
    found: list[tuple[str, list[str]]] = []
    positions = [header.index(column) for column in columns]
    for number, cells in _without_row_names(rows, len(header)):
        where = f"{name} row {number}"
        if len(cells) == len(header):
            found.append((where, [cells[position].strip() for position in positions]))
        else:
            what = f"has {counted(len(cells), 'cell')}, but the header has {len(header)}"
            problems.append(Problem(where, what, True))
    return found


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[_Line]]:
    """The header of a CSV, stripped and in lower case, and then its rows, with their numbers."""
    with path.open("rb") as binary:
        wide = binary.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    with path.open(encoding="utf-16" if wide else "utf-8-sig", newline="") as file:
        first = file.readline(_MOST_OF_A_LINE)
        separator = _SEP_LINE.fullmatch(first)  # written by Excel, above the header
        if separator is None:
            file.seek(0)
        delimiter = separator[1] if separator else max(_DELIMITERS, key=first.count)
        if path.suffix.lower() == ".tsv" and separator is None:
            delimiter = "\t"
        reader = csv.reader(file, delimiter=delimiter)
        number = 1 + (separator is not None)
        header = [cell.strip().lower() for cell in next(reader, [])]
        yield chain([(number, header)], enumerate(reader, start=number + 1))


def _without_row_names(rows: list[_Line], width: int) -> list[_Line]:
    """Rows as wide as the header, where all have the same kind of cell more.

    R writes row names, 1, 2, ..., without a name for their column; other programs end each row
    with a separator.
    """
    if any(len(cells) != width + 1 for _, cells in rows):
        return rows
    if not any(cells[-1].strip() for _, cells in rows):
        return [(number, cells[:-1]) for number, cells in rows]
    names = [cells[0].strip() for _, cells in rows]
    if any(names == [str(i + start) for i in range(len(names))] for start in (0, 1)):
        return [(number, cells[1:]) for number, cells in rows]
    return rows


def read_mapping(path: Path, problems: list[Problem]) -> ClassNames:
    """A mapping file (columns index, class). The class named `novel` gives the novel id; without
    one it is the largest id + 1."""
    names: dict[int, str] = {}
    novel: list[int] = []
    used: set[int] = set()
    seen: set[str] = set()
    before = len(problems)
    for where, (text, name) in read_csv(path, ("index", "class"), problems):
        index = parse_integer(text)
        if index is None:
            problems.append(Problem(where, f"index {text!r} is not an integer", True))
        elif index in used:
            problems.append(Problem(where, f"index {index} appears twice", True))
        elif not name:
            problems.append(Problem(where, f"the class of index {index} has no name", True))
        elif is_novel_name(name) and novel:
            problems.append(Problem(where, "a second row is named 'novel'", True))
        elif name in seen:
            problems.append(Problem(where, f"class {name!r} appears twice", True))
        elif is_novel_name(name):
            novel.append(index)
        else:
            names[index] = name
            seen.add(name)
        if index is not None:
            used.add(index)
    if not names and len(problems) == before:
        problems.append(Problem(path.name, "names no class", True))
    return ClassNames(names, novel[0] if novel else max(used, default=-1) + 1, bool(novel))
