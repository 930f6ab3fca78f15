"""`score_table.parquet` of a model directory: the score table, to choose other thresholds later.

It holds labels, predictions and scores of held-out images, but no images and no file names. Only
plain columns (integers, floats, booleans, text), whose types are checked before any value is read,
so that nothing is unpickled.

Shape legend: N rows, C sub-classes.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from hierclf.bundle.checksums import DESCRIPTION, check_sums, replaced
from hierclf.bundle.directory import SCORE_TABLE, Card, load_card
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS, UNLABELLED, Hierarchy
from hierclf.io.atomic import read_json_object
from hierclf.rules.score_table import ScoreTable
from hierclf.scores.renamed import FORMER

# Equal values compress to almost nothing in the file, but not in memory.
_MAX_ROWS = 20_000_000
_HIERARCHY = b"hierclf.hierarchy"
_COLUMNS: dict[str, pa.DataType] = {
    "fold": pa.string(),
    **{f"{level}_{what}": pa.int64() for what in ("label", "pred") for level in LEVELS},
    **{f"{level}_known": pa.bool_() for level in LEVELS},
    "part": pa.int64(),
    "report": pa.bool_(),
}


class StoredTable(NamedTuple):
    """Content of `score_table.parquet`.

    Attributes:
        table: N rows.
        parts: int64 [C], the part of each sub-class for `cross_fit`, a user's own novel ones behind
            the known ones; 0 for one without rows.
        report: bool [N], whether a row may be used in reported figures: False if its fold or class
            took part in the hyper-parameter search.
    """

    table: ScoreTable
    parts: NDArray[np.int64]
    report: NDArray[np.bool_]


def save_score_table(
    directory: Path, table: ScoreTable, parts: ArrayLike, *, report: ArrayLike | None = None
) -> None:
    """Write or replace the score table of a model directory, atomically.

    Only the columns that thresholds need are kept, with the scores that the model has.

    Args:
        directory: a model directory.
        table: N rows, of the directory's hierarchy.
        parts: int [C], the part of each sub-class.
        report: bool [N], see `StoredTable`; by default True for every row.

    Raises:
        ValueError: not a model directory, a missing column, a label without a part.
    """
    card = load_card(directory)
    labels = table.sub.labels
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(np.asarray(parts)):
        raise ValueError(
            f"every `sub_label` must be in 0..{len(np.asarray(parts)) - 1}, "
            f"but got {labels.min()}..{labels.max()}"
        )
    given = np.ones(len(table), dtype=bool) if report is None else np.asarray(report, dtype=bool)
    extra = {"part": np.asarray(parts)[labels], "report": given}
    schema = _schema(card)
    arrays = [
        pa.array(extra[name] if name in extra else table.column(name), type=kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    with replaced(directory, SCORE_TABLE) as temporary:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), temporary)


def load_score_table(directory: Path) -> StoredTable:
    """Read the score table of a model directory.

    Args:
        directory: a model directory.

    Raises:
        ValueError: not a model directory, or a score table that is missing, damaged or of another
            hierarchy.
    """
    card, path = load_card(directory), directory / SCORE_TABLE
    if not path.is_file():
        raise ValueError(
            f"{path} must be there to choose thresholds on, but is not; "
            "a search writes it into the model directory"
        )
    try:
        check_sums(directory, read_json_object(directory / DESCRIPTION), [SCORE_TABLE])
        table = _read(path, card)
        arrays = {name: table[name].to_numpy() for name in table.column_names}
        _check_values(arrays, card.hierarchy)
        parts = _parts(arrays["sub_label"], arrays.pop("part"), card.hierarchy.n_sub)
    except Exception as error:  # a malformed file can raise almost anything
        reason = one_line(error)[:300]
        raise ValueError(f"{path} must be a score table of its model, but {reason}") from None
    report = arrays.pop("report")
    return StoredTable(ScoreTable(pd.DataFrame(arrays)), parts, report)


def _schema(card: Card) -> pa.Schema:
    """Names, types and metadata of the file."""
    scores = {f"{level}_{name}": pa.float32() for level in LEVELS for name in card.scores}
    text = json.dumps(card.hierarchy.to_dict(), sort_keys=True)
    metadata = {_HIERARCHY: hashlib.sha256(text.encode()).hexdigest()}
    return pa.schema(list((_COLUMNS | scores).items()), metadata=metadata)


def _read(path: Path, card: Card) -> pa.Table:
    """The file as a table of exactly the expected columns and types, without nulls."""
    expected = _schema(card)
    with pq.ParquetFile(path) as parquet:
        found = parquet.schema_arrow
        if (found.metadata or {}).get(_HIERARCHY) != expected.metadata[_HIERARCHY]:
            raise ValueError("it was made for another hierarchy of classes")
        stored = [_stored_name(name, found.names) for name in expected.names]
        for name, kind in zip(stored, expected.types, strict=True):
            if found.names.count(name) != 1:
                raise ValueError(f"it has {found.names.count(name)} columns {name!r}")
            if found.field(name).type != kind:
                raise ValueError(f"its {name!r} is {found.field(name).type}, not {kind}")
        if parquet.metadata.num_rows > _MAX_ROWS:
            raise ValueError(f"it has {parquet.metadata.num_rows} rows, more than {_MAX_ROWS}")
        table = parquet.read(columns=stored).rename_columns(expected.names)
    for name in expected.names:
        if table[name].null_count:
            raise ValueError(f"its {name!r} has {table[name].null_count} empty cells")
    if not table.num_rows:
        raise ValueError("it has no rows")
    return table


def _stored_name(column: str, stored: Sequence[str]) -> str:
    """The column's name in the file, which may use a score's former name."""
    level, _, score = column.partition("_")
    former = f"{level}_{FORMER.get(score, score)}"
    return former if column not in stored and former in stored else column


def _check_values(arrays: dict[str, np.ndarray], hierarchy: Hierarchy) -> None:
    for level, count in zip(LEVELS, (hierarchy.n_super, hierarchy.n_sub), strict=True):
        labels, known = arrays[f"{level}_label"], arrays[f"{level}_known"]
        novel = labels[~known & (labels != UNLABELLED)] if level == "super" else labels[~known]
        for what, values, end in (
            ("label", labels[known], count),
            ("label", novel, count + len(labels)),  # a user's own classes have a row or more each
            ("pred", arrays[f"{level}_pred"], count),
        ):
            if len(values) and (values.min() < 0 or values.max() >= end):
                raise ValueError(
                    f"its '{level}_{what}' must be in 0..{end - 1}, "
                    f"but is in {values.min()}..{values.max()}"
                )
    for name, values in arrays.items():
        if values.dtype == np.float32 and not np.isfinite(values).all():
            raise ValueError(f"its {name!r} has {(~np.isfinite(values)).sum()} rows not finite")


def _parts(labels: np.ndarray, row_parts: np.ndarray, n_sub: int) -> NDArray[np.int64]:
    """The part of each sub-class, int64 [C], from the parts of its rows."""
    parts = np.zeros(max(n_sub, int(labels.max()) + 1), dtype=np.int64)
    parts[labels] = row_parts
    if (parts[labels] != row_parts).any():
        raise ValueError("it has a sub-class in two parts")
    return parts
