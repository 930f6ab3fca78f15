"""`training_images.parquet` of a model directory: the images behind the rows of the kNN bank.

It holds names and classes, no images, and is read for explanations only: a directory without it, or
from which it was deleted, is whole. Types and sizes are checked before a name is used.

Shape legend: M rows of the bank.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from hierclf.bundle.checksums import DESCRIPTION, check_sums, replaced
from hierclf.bundle.directory import TRAINING_IMAGES, load_hierarchy
from hierclf.errors import one_line
from hierclf.io.atomic import read_json_object
from hierclf.scores.knn import KNN_BANK_LIMIT

_COLUMNS = {"image": pa.string(), "sub_label": pa.int64()}
_MAX_BYTES = 256 * 2**20
_MAX_NAME = 4096
"""Bytes; as long as a path may be."""


class TrainingImages(NamedTuple):
    """The images whose features the kNN bank holds, row by row.

    Attributes:
        names: M, as in the training data.
        sub_labels: int64 [M], model indices.
    """

    names: Sequence[str]
    sub_labels: NDArray[np.int64]


def save_training_images(directory: Path, names: Sequence[str], sub_labels: ArrayLike) -> None:
    """Write or replace the names of a model directory's training images, atomically.

    Args:
        directory: a model directory.
        names: of the M images of the bank, in its order.
        sub_labels: int [M], model indices.

    Raises:
        ValueError: not a model directory.
    """
    arrays = [pa.array(names, pa.string()), pa.array(np.asarray(sub_labels), pa.int64())]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(list(_COLUMNS.items())))
    with replaced(directory, TRAINING_IMAGES) as temporary:
        pq.write_table(table, temporary)


def load_training_images(directory: Path) -> TrainingImages:
    """Read the names of a model directory's training images.

    Args:
        directory: a model directory.

    Raises:
        ValueError: not a model directory, or a file that is missing, damaged or too large, or has
            labels of another hierarchy.
    """
    n_sub, path = load_hierarchy(directory).n_sub, directory / TRAINING_IMAGES
    if not path.is_file():
        raise ValueError(f"{directory} has no {TRAINING_IMAGES}")
    try:
        check_sums(directory, read_json_object(directory / DESCRIPTION), [TRAINING_IMAGES])
        table = _read(path)
        names, labels = table["image"].to_pylist(), table["sub_label"].to_numpy()
        if len(labels) and not 0 <= labels.min() <= labels.max() < n_sub:
            raise ValueError(
                f"its 'sub_label' must be in 0..{n_sub - 1}, "
                f"but is in {labels.min()}..{labels.max()}"
            )
    except Exception as error:  # a malformed file can raise almost anything
        reason = one_line(error)[:300]
        raise ValueError(f"{path} must name training images, but {reason}") from None
    return TrainingImages(names, labels)


def _read(path: Path) -> pa.Table:
    """The file as a table of exactly the expected columns, without nulls, of bounded size."""
    with pq.ParquetFile(path) as parquet:
        found, meta = parquet.schema_arrow, parquet.metadata
        if not found.equals(pa.schema(list(_COLUMNS.items()))):
            raise ValueError(f"its columns are {', '.join(map(str, found))}")
        size = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
        if meta.num_rows > KNN_BANK_LIMIT or size > _MAX_BYTES:
            raise ValueError(
                f"it has {meta.num_rows} rows and {size} bytes, "
                f"more than {KNN_BANK_LIMIT} or {_MAX_BYTES}"
            )
    # As a dictionary, so that one long name in every row does not fill the memory.
    with pq.ParquetFile(path, read_dictionary=["image"]) as parquet:
        table = parquet.read()
    for name in _COLUMNS:
        if table[name].null_count:
            raise ValueError(f"its {name!r} has {table[name].null_count} empty cells")
    names = (chunk.dictionary for chunk in table["image"].chunks)
    longest = max((pc.max(pc.binary_length(n)).as_py() or 0 for n in names), default=0)
    if longest > _MAX_NAME:
        raise ValueError(f"it has a name of {longest} bytes, more than {_MAX_NAME}")
    return table
