"""Predictions against labels, by files: join by image name, then the six accuracies.

Shape legend: N labelled images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.table import Table

from hierclf.data.csv_tables import parse_integer, read_csv, read_mapping
from hierclf.data.layouts import COLUMNS, SUB_MAPPING, SUPER_MAPPING
from hierclf.data.listing import ClassNames, Problem
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS, NOVEL, Level, is_novel_name
from hierclf.metrics.accuracy import PARTS, constant_answers, six_accuracies

# An answer that is wrong whatever the label: neither a class nor NOVEL.
_NO_ANSWER = NOVEL - 1
_SHOWN = 3

_Rows = list[tuple[str, Sequence[Any]]]
_Answers = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Evaluation:
    """How good predictions are; accuracies in [0, 1], None for a part without images.

    Attributes:
        accuracies: as `metrics.six_accuracies` gives it.
        always_novel: the same for the constant answer "novel".
        never_novel: the same for a classifier without the answer "novel" that is right on every
            known image: the best that such a one could do.
        counts: images of each part, keys as in `accuracies` without the harmonic means.
        missing: labelled images without a prediction; they count as wrong.
        unlabelled: predicted images without a label; they are left out.
    """

    accuracies: dict[str, float | None]
    always_novel: dict[str, float | None]
    never_novel: dict[str, float | None]
    counts: dict[str, int]
    missing: list[str]
    unlabelled: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "accuracies": self.accuracies,
            "always_novel": self.always_novel,
            "never_novel_at_best": self.never_novel,
            "counts": self.counts,
            "missing": len(self.missing),
            "unlabelled": len(self.unlabelled),
        }


def evaluate(predictions: Path, labels: Path, *, model: Path | None = None) -> Evaluation:
    """Compare two tables with the columns image, superclass_index and subclass_index.

    Args:
        predictions: .csv or .parquet; further columns don't matter.
        labels: the same. An image whose class is novel has the novel id.
        model: model directory whose hierarchy gives the classes and the novel ids; by default the
            mapping files beside `labels` do, which must have a row `novel`.

    Raises:
        ValueError: a file that is missing or not of this form, an image twice, an id that is
            neither a known class nor novel, or no image in common.
    """
    levels = _levels_of_mappings(labels.parent) if model is None else _levels_of_model(model)
    truth, answers = _read(labels, levels), _read(predictions, levels)
    if not truth.keys() & answers.keys():
        names = f"{next(iter(truth))!r} there, {next(iter(answers))!r} here"
        raise ValueError(f"{predictions} must name images of {labels}, but names none ({names})")
    true_super, true_sub = _columns(truth.values())
    nothing = (_NO_ANSWER, _NO_ANSWER)
    pred_super, pred_sub = _columns(answers.get(image, nothing) for image in truth)
    constants = constant_answers(true_super, true_sub, true_super.clip(min=0), true_sub.clip(min=0))
    return Evaluation(
        accuracies=six_accuracies(true_super, true_sub, pred_super, pred_sub),
        always_novel=constants["always_novel"],
        never_novel=constants["never_novel"],
        counts=_counts("super", true_super) | _counts("sub", true_sub),
        missing=[image for image in truth if image not in answers],
        unlabelled=[image for image in answers if image not in truth],
    )


def evaluation_table(result: Evaluation) -> Table:
    """The accuracies in per cent beside the two constant answers, for a terminal."""
    table = Table()
    table.add_column("accuracy, %")
    for title in ("images", "predictions", "always novel", "never novel, at best"):
        table.add_column(title, justify="right")
    for level in LEVELS:
        for part in (*PARTS, "harmonic"):
            key = f"{level}_{part}"
            values = (result.accuracies, result.always_novel, result.never_novel)
            cells = [_percent(figures[key]) for figures in values]
            images = str(result.counts[key]) if key in result.counts else ""
            table.add_row(f"{level} {part}", images, *cells, end_section=part == "harmonic")
    return table


def evaluation_notes(result: Evaluation) -> list[str]:
    """What does not stand in the table: images on one side only."""
    notes = []
    if result.missing:
        images = _some_names(result.missing)
        notes.append(f"{len(result.missing)} labelled images without prediction, wrong: {images}")
    if result.unlabelled:
        images = _some_names(result.unlabelled)
        notes.append(f"{len(result.unlabelled)} predicted images without label, left out: {images}")
    return notes


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _some_names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _counts(level: Level, true: NDArray[np.int64]) -> dict[str, int]:
    novel = int((true == NOVEL).sum())
    return {
        f"{level}_overall": len(true),
        f"{level}_seen": len(true) - novel,
        f"{level}_unseen": novel,
    }


def _columns(pairs: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    array = np.array(list(pairs), dtype=np.int64)
    return array[:, 0], array[:, 1]


# --- which ids there are ---------------------------------------------------------------------


def _levels_of_model(model: Path) -> tuple[ClassNames, ClassNames]:
    from hierclf.bundle.directory import load_hierarchy  # imports torch, which takes its time

    known = load_hierarchy(model)
    return (
        ClassNames(
            dict(zip(known.super_ids, known.super_names, strict=True)), known.novel_super_id
        ),
        ClassNames(dict(zip(known.sub_ids, known.sub_names, strict=True)), known.novel_sub_id),
    )


def _levels_of_mappings(folder: Path) -> tuple[ClassNames, ClassNames]:
    missing = [name for name in (SUPER_MAPPING, SUB_MAPPING) if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"{missing[0]} must lie beside the labels in {folder} to give the novel id, but does "
            "not; or name the model directory with --model"
        )
    return _level(folder / SUPER_MAPPING), _level(folder / SUB_MAPPING)


def _level(mapping: Path) -> ClassNames:
    problems: list[Problem] = []
    level = read_mapping(mapping, problems)
    _refuse(mapping, problems)
    if not any(is_novel_name(name) for _, (name,) in read_csv(mapping, ("class",), problems)):
        raise ValueError(
            f"{mapping} must have a row for the class 'novel', but has none; "
            "add it, or name the model directory with --model"
        )
    return level


# --- reading ---------------------------------------------------------------------------------


def _read(path: Path, levels: tuple[ClassNames, ClassNames]) -> _Answers:
    """Class indices by image name: positions among the level's sorted ids, NOVEL for novel."""
    if not path.is_file():
        raise ValueError(f"{path} must be a .csv or .parquet file, but there is no such file")
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    index_of = [
        {id_: index for index, id_ in enumerate(sorted(level.names))} | {level.novel_id: NOVEL}
        for level in levels
    ]
    found: _Answers = {}
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
