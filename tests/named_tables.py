"""Six images in a table of names, in every format that is read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.data.sources import inspect_source
from tests.layouts import red_values, tree, write_csv

ENDINGS = ["csv", "tsv", "jsonl", "parquet"]
IMAGES = [f"photos/{i}.png" for i in range(6)]
SUPER = ["bird"] * 4 + ["dog"] * 2
SUB = ["owl", "owl", "hen", "hen", "pug", "pug"]
NAMES = {"image": IMAGES, "superclass": SUPER, "subclass": SUB}


def table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """The same table in the format of the path's ending, beside six images."""
    tree(path.parent, IMAGES)
    rows = list(zip(*columns.values(), strict=True))
    match path.suffix:
        case ".csv":
            write_csv(path, list(columns), rows)
        case ".tsv":
            lines = ["\t".join(map(str, row)) for row in ([*columns], *rows)]
            path.write_text("\n".join(lines))
        case ".jsonl":
            objects = [dict(zip(columns, row, strict=True)) for row in rows]
            path.write_text("\n".join(map(json.dumps, objects)))
        case _:
            pq.write_table(pa.table({name: list(cells) for name, cells in columns.items()}), path)
    return path


def fatal(path: Path, *, columns: str | None = None) -> list[Problem]:
    source, problems = inspect_source(str(path), columns=columns)
    assert source is None
    return [problem for problem in problems if problem.fatal]


def check_is_the_usual_set(source: Source) -> None:
    """Its classes, labels and images are those of the table."""
    known = source.hierarchy
    assert known.super_names == ("bird", "dog")
    assert known.sub_names == ("hen", "owl", "pug")
    assert (known.novel_super_id, known.novel_sub_id) == (2, 3)
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert red_values(source) == list(range(6))
    assert source.images == IMAGES
    assert source.problems == []
