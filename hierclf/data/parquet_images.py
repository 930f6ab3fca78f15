"""Image bytes in Parquet files: which column holds them, and reading them by row group.

Shape legend: N images.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.errors import one_line

IMAGE_COLUMNS = ("image", "image_bytes", "bytes", "img")
NAME_COLUMNS = ("image_name", "path", "id")
_GROUPS_IN_MEMORY = 2


class Place(NamedTuple):
    """Where an image's bytes are."""

    file: int
    group: int
    row: int  # within the group


class ParquetImages(NamedTuple):
    """Where the images of a source are, for readers in other processes.

    Attributes:
        files: absolute paths.
        columns: of each file, the one that holds the image bytes.
        places: int64 [N, 3]: file, row group and row within the group of each image.
        keep_truncated: whether JPEG files that end early are read.
    """

    files: list[str]
    columns: list[str]
    places: np.ndarray
    keep_truncated: bool = False


def image_column(schema: Any, named: str | None = None) -> str | None:
    """The column of image bytes, "image.bytes" within a struct; None where there is none.

    Bytes are binary of any kind, or lists of uint8.

    Args:
        schema: of Arrow.
        named: the column that the user named; None looks for IMAGE_COLUMNS.
    """
    types = {field.name: field.type for field in schema}
    for name in IMAGE_COLUMNS if named is None else (named,):
        kind = types.get(name)
        if kind is not None and pa.types.is_struct(kind):
            inner = kind.get_field_index("bytes")
            if inner >= 0 and _holds_bytes(kind.field(inner).type):
                return f"{name}.bytes"
        elif kind is not None and _holds_bytes(kind):
            return name
    return None


def name_column(schema: Any) -> str | None:
    """The column of image names; None where there is none."""
    return next((name for name in NAME_COLUMNS if name in schema.names), None)


def is_text(kind: Any) -> bool:
    """Whether a column's type is text of any kind, or a dictionary of it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def places_in(parquet: Any, file: int) -> list[Place]:
    """The places of all rows of an open Parquet file, the file of that number."""
    return [
        Place(file, group, row)
        for group in range(parquet.num_row_groups)
        for row in range(parquet.metadata.row_group(group).num_rows)
    ]


def read_group(file: Path | str | BinaryIO, group: int, column: str) -> Any:
    """The cells of a column of image bytes in one row group, an array of Arrow.

    Raises:
        ValueError: it cannot be read.
        OSError: the file cannot.
    """
    try:
        with pq.ParquetFile(file) as parquet:
            return parquet.read_row_group(group, columns=[column]).column(0)
    except pa.ArrowException as error:
        raise ValueError(f"its row group cannot be read: {one_line(error)}") from None


def cell_bytes(cell: Any) -> bytes:
    """What a cell of `read_group` holds.

    Raises:
        ValueError: it holds nothing.
    """
    if isinstance(cell, pa.StructScalar):
        cell = cell["bytes"]
    if not cell.is_valid:
        raise ValueError("the row holds no image bytes")
    if isinstance(cell, pa.ListScalar | pa.FixedSizeListScalar):
        if cell.values.null_count:
            raise ValueError("the row holds a list of bytes with gaps")
        return np.asarray(cell.values, dtype=np.uint8).tobytes()
    return cell.as_py()


class ParquetReader:
    """Reads image bytes by row group; one thread reads a file at a time, decoding is elsewhere.

    Args:
        files: the files.
        columns: of each, the one that holds the image bytes.
        source: what pyarrow opens of a file; by default its path.
    """

    def __init__(
        self, files: Sequence[Any], columns: Sequence[str], source: Callable[[Any], Any] = str
    ) -> None:
        self._files, self._columns, self._source = files, columns, source
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetReader, (self._files, self._columns, self._source)

    def read(self, place: Place) -> bytes:
        """Encoded bytes of one image.

        Raises:
            ValueError: the row holds no bytes, or its row group cannot be read.
        """
        with self._lock:
            cell = self._group(place.file, place.group)[place.row]
        return cell_bytes(cell)

    def _group(self, file: int, group: int) -> Any:
        key = (file, group)
        if key not in self._groups:
            self._groups[key] = read_group(
                self._source(self._files[file]), group, self._columns[file]
            )
            if len(self._groups) > _GROUPS_IN_MEMORY:
                self._groups.popitem(last=False)
        return self._groups[key]


def _holds_bytes(kind: Any) -> bool:
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
        or (is_list and kind.value_type == pa.uint8())
    )
