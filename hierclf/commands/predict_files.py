"""Predict image files into a CSV or Parquet file, batch by batch, in constant memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hierclf.bundle.directory import Bundle
from hierclf.commands.tally import Tally
from hierclf.data.image_list import ImageFiles, natural_key
from hierclf.explanations.background import Background
from hierclf.explanations.columns import COLUMNS as EXPLAINING
from hierclf.explanations.columns import explaining
from hierclf.io.atomic import TABLE_ENDINGS, check_out_file, draft_of
from hierclf.predict import predict_batches
from hierclf.progress import Progress
from hierclf.rules.answers import COLUMNS

Format = Literal["table", "submission"]
SUBMISSION = ("image", "superclass_index", "subclass_index")
# Rows per write: a Parquet file of tiny row groups is slow to read.
_ROWS_AT_ONCE = 8192

_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in COLUMNS[:1]]
    + [pa.field(name, pa.int64()) for name in COLUMNS[1:3]]
    + [pa.field(name, pa.string()) for name in COLUMNS[3:5]]
    + [pa.field(name, pa.float32()) for name in COLUMNS[5:]]
    + [
        pa.field(name, pa.float32() if name.endswith("_margin") else pa.string())
        for name in EXPLAINING
    ]
)


def predict_to_file(
    bundle: Bundle,
    images: ImageFiles,
    out: Path,
    *,
    form: Format = "table",
    batch_size: int = 64,
    device: torch.device | None = None,
    progress: Progress | None = None,
    may_be_empty: bool = False,
    background: Background | None = None,
) -> Tally:
    """Predict all readable images; the file is written atomically.

    Args:
        bundle: a model with thresholds.
        images: the images.
        out: .csv or .parquet, replaced if it exists.
        form: `table` has every column of `predict_images`; `submission` has the image and the two
            ids, in natural order of the images.
        batch_size: images per batch.
        device: by default a GPU where there is one.
        progress: called as (done, total).
        may_be_empty: whether it is no error if none of these images is readable.
        background: compared with it, `explaining` adds its columns to a `table`.

    Returns:
        Counts, and the unreadable images.

    Raises:
        ValueError: no readable image (gives the first reason), or as `predict_batches`.
    """
    check_out_file("out", out, endings=TABLE_ENDINGS)
    tally, done = Tally(left_out=images.left_out), 0
    sort = form == "submission" and list(images.names) != sorted(images.names, key=natural_key)
    batches = predict_batches(
        bundle,
        images,
        batch_size=batch_size,
        device=device,
        skip_unreadable=True,
        further=None if background is None else explaining(bundle, background),
    )
    columns = COLUMNS if background is None else (*COLUMNS, *EXPLAINING)
    with _writer(out, SUBMISSION if form == "submission" else columns, sort=sort) as write:
        for table, unreadable in batches:
            tally.unreadable += unreadable
            done += len(table) + len(unreadable)
            if len(table):
                _count(tally, table, bundle)
                write(table)
            if progress is not None:
                progress(done, len(images))
        if not tally.predicted and not may_be_empty:
            name, reason = tally.unreadable[0]
            raise ValueError(
                f"at least one image must be readable, but none of {done} is; {name}: {reason}"
            )
    return tally


def _count(tally: Tally, table: pd.DataFrame, bundle: Bundle) -> None:
    super_novel = table["superclass_index"] == bundle.hierarchy.novel_super_id
    sub_novel = table["subclass_index"] == bundle.hierarchy.novel_sub_id
    tally.novel_super += int(super_novel.sum())
    tally.novel_sub += int((sub_novel & ~super_novel).sum())
    tally.known += int((~sub_novel).sum())


@contextmanager
def _writer(
    out: Path, columns: tuple[str, ...], *, sort: bool
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Append tables to a temporary file that becomes `out` at the end.

    Args:
        out: .csv or .parquet.
        columns: which columns to write.
        sort: collect all rows and write them in natural order of their images.

    Yields:
        The function that appends a table.
    """
    waiting: list[pd.DataFrame] = []
    with draft_of(out) as temporary, _open(temporary, out.suffix.lower(), columns) as append:

        def flush() -> None:
            rows = pd.concat(waiting, ignore_index=True)
            waiting.clear()
            if sort:
                keys = [natural_key(name) for name in rows["image"]]
                rows = rows.iloc[sorted(range(len(rows)), key=keys.__getitem__)]
            append(rows)

        def write(table: pd.DataFrame) -> None:
            waiting.append(table[list(columns)])
            if not sort and sum(map(len, waiting)) >= _ROWS_AT_ONCE:
                flush()

        yield write
        if waiting:
            flush()


@contextmanager
def _open(
    path: Path, ending: str, columns: tuple[str, ...]
) -> Iterator[Callable[[pd.DataFrame], Any]]:
    if ending == ".parquet":
        schema = pa.schema([_SCHEMA.field(name) for name in columns])
        with pq.ParquetWriter(path, schema) as writer:
            yield lambda rows: writer.write_table(
                pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
            )
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(columns) + "\n")
            yield lambda rows: rows.to_csv(file, header=False, index=False, lineterminator="\n")
