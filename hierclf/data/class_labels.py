"""Class names that Hugging Face's `datasets` writes into a Parquet file, beside columns of ids.

A feature of the type ClassLabel is a column of integers; its names, in the order of the ids, are in
the schema's metadata under the key `huggingface`, as JSON.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hierclf.data.listing import Problem

_KEY = b"huggingface"
_NO_LABEL = -1


def class_names(schema: Any) -> dict[str, list[str]]:
    """The names of the classes of each column of ids that has some, by column.

    Args:
        schema: of Arrow. Metadata of another form give no names.
    """
    try:
        features = json.loads((schema.metadata or {}).get(_KEY, b"{}"))["info"]["features"].items()
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return {}
    integers = {field.name for field in schema if pa.types.is_integer(field.type)}
    return {
        column: feature["names"]
        for column, feature in features
        if column in integers and isinstance(feature, dict) and _are_names(feature.get("names"))
    }


def _are_names(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) and name.strip() for name in names)


def names_of_ids(
    cells: Sequence[int | None],
    names: Sequence[str],
    column: str,
    where: Sequence[str],
    problems: list[Problem],
) -> list[str | None]:
    """The name of each id; None for null and for -1, which stands for no label.

    Args:
        cells: the ids.
        names: of the classes, in the order of the ids.
        column: the name of the column, for messages.
        where: the row of each cell, for messages.
        problems: the list to add to: an id that no class has.
    """
    found: list[str | None] = []
    for cell, row in zip(cells, where, strict=True):
        if cell is None or cell == _NO_LABEL:
            found.append(None)
        elif 0 <= cell < len(names):
            found.append(names[cell])
        else:
            what = f"{column} {cell} is not one of the ids 0 to {len(names) - 1} "
            problems.append(Problem(row, f"{what}that the file names", True))
            found.append(None)
    return found
