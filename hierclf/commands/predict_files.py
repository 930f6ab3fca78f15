"""Predict image files into a CSV or Parquet file, batch by batch, in flat memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hierclf.bundle.directory import Bundle
from hierclf.data.image_files import ImageFiles, natural_key
from hierclf.io.atomic import TABLE_ENDINGS, check_out_file, draft_of
from hierclf.predict import COLUMNS, predict_batches
from hierclf.progress import Progress

Format = Literal["table", "submission"]
SUBMISSION = ("image", "superclass_index", "subclass_index")
# Rows written at once: a Parquet file of tiny row groups would be slow to read.
_ROWS_AT_ONCE = 8192

_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in COLUMNS[:1]]
    + [pa.field(name, pa.int64()) for name in COLUMNS[1:3]]
    + [pa.field(name, pa.string()) for name in COLUMNS[3:5]]
    + [pa.field(name, pa.float32()) for name in COLUMNS[5:]]
)


@dataclass
class Tally:
    """What came of the images.

    Attributes:
        known: of a known super- and sub-class.
        novel_super: of a novel super-class, and thus a novel sub-class.
        novel_sub: of a novel sub-class of a known super-class.
        unreadable: (name, reason) of the images that the file leaves out.
    """

    known: int = 0
    novel_super: int = 0
    novel_sub: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    @property
    def predicted(self) -> int:
        return self.known + self.novel_super + self.novel_sub

    def add(self, part: "Tally") -> None:
        """Count another part of the same images."""
        self.known += part.known
        self.novel_super += part.novel_super
        self.novel_sub += part.novel_sub
        self.unreadable += part.unreadable


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
) -> Tally:
    """Predict all images that can be read; the file appears, whole, at the end.

    Args:
        out: .csv or .parquet, replaced where it exists.
        form: `table` is every column of `predict_images`; `submission` is image and the two ids,
            always in natural order.
        progress: called as (done, total).
        may_be_empty: of a part of the images, none need be readable.

    Raises:
        ValueError: no image can be read (the first reason is named), or as `predict_batches`.
    """
    check_out_file("out", out, endings=TABLE_ENDINGS)
    tally, done = Tally(), 0
    sort = form == "submission" and list(images.names) != sorted(images.names, key=natural_key)
    batches = predict_batches(
        bundle, images, batch_size=batch_size, device=device, skip_unreadable=True
    )
    with _writer(out, SUBMISSION if form == "submission" else COLUMNS, sort=sort) as write:
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
    """Write tables one after another into a draft beside `out`; it takes the name at the end.

    Args:
        sort: keep all rows and write them in natural order of their images.
    """
    waiting: list[pd.DataFrame] = []
    with draft_of(out) as draft, _open(draft, out.suffix.lower(), columns) as append:

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
    draft: Path, ending: str, columns: tuple[str, ...]
) -> Iterator[Callable[[pd.DataFrame], Any]]:
    if ending == ".parquet":
        schema = pa.schema([_SCHEMA.field(name) for name in columns])
        with pq.ParquetWriter(draft, schema) as writer:
            yield lambda rows: writer.write_table(
                pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
            )
    else:
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(columns) + "\n")
            yield lambda rows: rows.to_csv(file, header=False, index=False, lineterminator="\n")
