"""The small columns of Parquet files with images: names, labels and whatever else is asked for.

Files lie directly in a folder, in its `data` folder (as on the Hugging Face Hub) or in hive folders
(`split=train/superclass=bird/part-0.parquet`), whose names are columns, too.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.class_labels import class_names, names_of_ids
from hierclf.data.listing import Problem
from hierclf.data.parquet_images import (
    IMAGE_COLUMNS,
    ParquetReader,
    Place,
    image_column,
    name_column,
    places_in,
)
from hierclf.errors import one_line

_PATTERN = "*.[pP][aA][rR][qQ][uU][eE][tT]"
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


class ParquetTable(NamedTuple):
    """The rows of some Parquet files, without their images.

    Attributes:
        files: absolute paths.
        image_columns: of each file, the one that holds the image bytes.
        places: where each row's image is.
        where: file and row of each row, for messages.
        names: the cells of the name column; None where there is none.
        cells: of each column that was asked for and that all files have, the cells.
        types: the types of these columns, of Arrow; text for those in folder names, and for
            ids that the file names (see `class_labels`).
    """

    files: list[Path]
    image_columns: list[str]
    places: list[Place]
    where: list[str]
    names: list[Any]
    cells: dict[str, list[Any]]
    types: dict[str, Any]

    def reader(self) -> ParquetReader:
        """Reads the images by their place."""
        return ParquetReader(self.files, self.image_columns)


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder, sorted: directly in it, in `data`, or in hive folders.

    AppleDouble and other hidden files are left out.
    """
    for place in (folder, folder / "data"):
        if files := sorted(file for file in place.glob(_PATTERN) if _is_visible(file)):
            return files
    hive = (file for file in folder.glob(f"*=*/**/{_PATTERN}") if _is_visible(file))
    return sorted(file for file in hive if all("=" in part for part in _folders(folder, file)))


def has_images(file: Path, named: str | None = None) -> bool:
    """Whether a Parquet file has a column of image bytes, the one that the user named if one is."""
    schema = _schema(file)
    return schema is not None and image_column(schema, _real_name(schema, named)) is not None


def column_names(root: Path, file: Path) -> set[str]:
    """The columns of a Parquet file below `root`, those in names of hive folders included."""
    schema = _schema(file)
    return set() if schema is None else {*schema.names, *_partition(_folders(root, file))}


def _real_name(schema: Any, named: str | None) -> str | None:
    """The column that a name in lower case means."""
    return next((name for name in schema.names if name.strip().lower() == named), named)


def _schema(file: Path) -> Any:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError):
        return None


def read_parquet(
    root: Path,
    files: Sequence[Path],
    wanted: Sequence[str],
    problems: list[Problem],
    *,
    image: str | None = None,
    source: Callable[[Path], Any] = Path,
) -> ParquetTable | None:
    """Read names and the wanted columns of some files; None after a problem that stops.

    Args:
        root: the folder that `files` were found in, or the file itself.
        wanted: columns to read where there are any.
        problems: the list to add to.
        image: the column of image bytes that the user named.
        source: what pyarrow opens of a file; by default its path.
    """
    table = ParquetTable([file.resolve() for file in files], [], [], [], [], {}, {})
    columns: set[tuple[str, ...]] = set()
    for number, file in enumerate(files):
        try:
            with pq.ParquetFile(source(file)) as parquet:
                folders = {} if root.is_file() else _partition(_folders(root, file))
                place = file.name, number, folders
                columns.add(_read_file(parquet, place, wanted, table, problems, image))
        except (pa.ArrowException, OSError) as error:
            what = f"cannot be read as Parquet: {one_line(error)}"
            problems.append(Problem(file.name, what, True))
            return None
        if problems and problems[-1].fatal:
            return None
    if len(columns) > 1:
        one, another = [set(has) for has in sorted(columns)][:2]
        what = f"column {min(one ^ another)!r} is in some of its files only"
        problems.append(Problem(root.name, what, True))
        return None
    return table


def cell_text(cell: Any) -> str:
    """A cell as a CSV would hold it; empty for null and NaN."""
    return "" if cell is None or cell != cell else str(cell).strip()


def image_names(cells: Sequence[Any], problems: list[Problem]) -> list[str]:
    """Unique names from the cells of a name column; row numbers where a cell is empty or repeats.

    Args:
        problems: a warning is added where the cells are not used.
    """
    names = [cell_text(cell) for cell in cells]
    if "" not in names and len(set(names)) == len(names):
        return names
    if any(names):
        what = "empty or repeated image names; row numbers stand for all of them"
        problems.append(Problem("the name column", what, False))
    return [str(number) for number in range(len(names))]


def _read_file(
    parquet: Any,
    place: tuple[str, int, dict[str, str | None]],
    wanted: Sequence[str],
    table: ParquetTable,
    problems: list[Problem],
    image_name: str | None,
) -> tuple[str, ...]:
    """Add the rows of one file to the table; the wanted columns that it has."""
    name, number, folders = place
    schema = parquet.schema_arrow
    image, named = image_column(schema, _real_name(schema, image_name)), name_column(schema)
    if image is None:
        names = ", ".join(IMAGE_COLUMNS) if image_name is None else image_name
        what = f"a column of image bytes is missing (one of {names})"
        what += f"; its columns are {', '.join(schema.names)}"
        problems.append(Problem(name, what, True))
        return ()
    inside = [column for column in wanted if column in schema.names]
    content = parquet.read(columns=[*inside, *([named] if named else [])])
    places = places_in(parquet, number)
    table.image_columns.append(image)
    table.places.extend(places)
    table.where.extend(f"{name} row {row}" for row in range(len(places)))
    table.names.extend(content.column(named).to_pylist() if named else [None] * len(places))
    classes = class_names(schema)
    for column in inside:
        cells, kind = content.column(column).to_pylist(), schema.field(column).type
        if column in classes:
            where = table.where[len(table.where) - len(places) :]
            cells, kind = names_of_ids(cells, classes[column], column, where, problems), pa.string()
        table.types[column] = kind
        table.cells.setdefault(column, []).extend(cells)
    outside = [column for column in wanted if column in folders and column not in inside]
    for column in outside:
        table.types[column] = pa.string()
        table.cells.setdefault(column, []).extend([folders[column]] * len(places))
    return (*inside, *outside)


def _partition(folders: Sequence[str]) -> dict[str, str | None]:
    """Columns from the names of hive folders."""
    pairs = [folder.split("=", 1) for folder in folders if "=" in folder]
    return {key: None if value == _NULL_FOLDER else unquote(value) for key, value in pairs}


def _folders(root: Path, file: Path) -> tuple[str, ...]:
    return file.relative_to(root).parts[:-1]


def _is_visible(file: Path) -> bool:
    return not file.name.startswith(".") and file.is_file()
