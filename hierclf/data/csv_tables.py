"""CSV files and mapping files, read with row numbers for every problem."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from hierclf.data.listing import ClassNames, Problem
from hierclf.hierarchy import is_novel_name

# Eighteen digits always fit into int64.
_INTEGER = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?")


def parse_integer(text: str) -> int | None:
    """The integer that a cell holds, or None; `3.0`, as a join of tables writes it, is 3."""
    match = _INTEGER.fullmatch(text.strip())
    return int(match[1]) if match else None


def read_header(path: Path) -> list[str]:
    """Column names of a CSV, stripped; empty where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [cell.strip() for cell in next(csv.reader(file), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def read_csv(
    path: Path, columns: Sequence[str], problems: list[Problem]
) -> list[tuple[str, list[str]]]:
    """The named columns of a CSV as (where, stripped cells), without empty lines.

    UTF-8, with or without a byte-order mark. A row of another length than the header is a problem:
    a comma without quotes would have moved its cells.
    """
    if not path.is_file():
        problems.append(Problem(path.name, "no such file", True))
        return []
    rows: list[tuple[str, list[str]]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip() for cell in next(reader, [])]
            absent = [name for name in columns if name not in header]
            if absent:
                there = " ".join(", ".join(header).split())
                what = f"column {absent[0]!r} is missing; its columns are {there}"
                problems.append(Problem(f"{path.name} row 1", what, True))
                return []
            positions = [header.index(name) for name in columns]
            for number, cells in enumerate(reader, start=2):
                where = f"{path.name} row {number}"
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    what = f"has {len(cells)} cells, but the header has {len(header)}"
                    problems.append(Problem(where, what, True))
                else:
                    rows.append((where, [cells[position].strip() for position in positions]))
    except UnicodeDecodeError as error:
        problems.append(Problem(path.name, f"is not UTF-8 text: {error.reason}", True))
    except csv.Error as error:
        problems.append(Problem(path.name, f"is not a CSV file: {error}", True))
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


def label_ids(
    where: str, texts: Sequence[str], levels: Sequence[ClassNames], problems: list[Problem]
) -> tuple[int, int] | None:
    """The (super, sub) ids of a row's label cells, or None after naming each problem."""
    ids: list[int] = []
    for kind, text, level in zip(("superclass", "subclass"), texts, levels, strict=True):
        value = parse_integer(text)
        if not text:
            problems.append(Problem(where, f"the {kind} label is empty", True))
        elif value is None:
            problems.append(Problem(where, f"{kind} label {text!r} is not an integer", True))
        elif value == level.novel_id:
            what = f"{kind} label {value} is 'novel', which training data must not hold"
            problems.append(Problem(where, what, True))
        elif value not in level.names:
            what = f"{kind} label {value} is not in the mapping"
            problems.append(Problem(where, what, True))
        else:
            ids.append(value)
    return (ids[0], ids[1]) if len(ids) == 2 else None
