"""Images to predict: a file, a folder, a zip, a glob pattern or Parquet, listed and read lazily.

Nothing is extracted, and no name is followed: a zip entry's name is only a name here.

An image is called by its bare file name, as label files call it, where no two images share one;
otherwise all are called by their path in the folder or zip. The order is natural (2.jpg before
10.jpg). Parquet keeps the order of its rows, since its images come by row group; its names are
those of the name column, or row numbers where there is none or a name is empty or repeats.
"""

import glob
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hierclf.data.image_store import (
    Entry,
    open_zip,
    read_loose,
    read_zipped,
    unwritable_reason,
    walk_files,
)
from hierclf.data.images import SUFFIXES
from hierclf.data.parquet import IMAGE_COLUMNS, NAME_COLUMNS, _holds_bytes, _Place, _Reader
from hierclf.errors import one_line

Reader = Callable[[], bytes]
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class ImageFiles:
    """Images of which only the names are in memory; iterate for (name, function that reads).

    Attributes:
        names: all different.
        read: encoded bytes of image i, safe among threads; raises ValueError or OSError.
    """

    names: Sequence[str]
    read: Callable[[int], bytes]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, Reader]]:
        for index, name in enumerate(self.names):
            yield name, partial(self.read, index)


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key that compares runs of digits as numbers: 2.jpg before 10.jpg."""
    parts: list[Any] = _DIGITS.split(name)
    # Length and digits, not int(): no limit on digits. Text and numbers alternate, so that equal
    # positions always hold equal types.
    parts[1::2] = [(len(bare := digits.lstrip("0")), bare) for digits in parts[1::2]]
    return tuple(parts), name


def list_images(where: str) -> ImageFiles:
    """List the images of a file, folder (nested), .zip, glob pattern or .parquet.

    In folders, zips and patterns an image is what ends like one (.jpg, .png, ...). Hidden files
    are left out. A folder without images but with .parquet files means those.

    Raises:
        ValueError: nothing there, no image in it, or a zip or Parquet file that cannot be read.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        if path.suffix.lower() == ".zip":
            return _zip(path)
        if path.suffix.lower() == ".parquet":
            return _parquet([path])
        return _loose(path.parent, [Entry(path.name, unsafe=unwritable_reason(path.name))])
    if glob.has_magic(where):
        return _pattern(str(path))
    raise ValueError(f"the images must exist, but there is no file, folder or pattern {where!r}")


def _folder(folder: Path) -> ImageFiles:
    found, zips, tables = [], [], []
    for entry in walk_files(folder, folder):
        suffix = posixpath.splitext(entry.path)[1].lower()
        if suffix in SUFFIXES:
            found.append(entry)
        elif suffix == ".zip":
            zips.append(folder / entry.path)
        elif suffix == ".parquet" and not entry.unsafe:
            tables.append(folder / entry.path)
    if not found and tables:
        return _parquet(sorted(tables, key=lambda path: natural_key(str(path))))
    if not found and zips:
        raise ValueError(f"{folder} must hold images, but holds only zips; name one: {zips[0]}")
    return _loose(folder, _some(found, folder))


def _pattern(pattern: str) -> ImageFiles:
    # Not Path.glob: a pattern may be absolute. As a set: `**` may give a file twice.
    matches = (Path(match) for match in set(glob.iglob(pattern, recursive=True)))  # noqa: PTH207
    files = [path for path in matches if path.suffix.lower() in SUFFIXES and path.is_file()]
    parents = [str(path.parent) for path in _some(files, pattern)]
    root = Path(os.path.commonpath(parents))
    names = [path.relative_to(root).as_posix() for path in files]
    return _loose(root, [Entry(name, unsafe=unwritable_reason(name)) for name in names])


def _loose(root: Path, entries: Sequence[Entry]) -> ImageFiles:
    def read(entry: Entry) -> bytes:
        if entry.unsafe:
            raise ValueError(entry.unsafe)
        return read_loose(root, entry)

    return _named([entry.path for entry in entries], entries, read)


def _zip(path: Path) -> ImageFiles:
    try:
        archive = open_zip(path)
    except ValueError as error:
        raise ValueError(f"{path} must be a zip file, but it {error}") from None
    found = {}
    for info in archive.infolist():
        name = info.filename.replace("\\", "/")
        hidden = name.startswith("__MACOSX/") or posixpath.basename(name).startswith(".")
        if hidden or not name.lower().endswith(SUFFIXES):
            continue
        if name in found:
            raise ValueError(f"{path} must hold each name once, but holds {name!r} twice")
        found[name] = info
    _some(found, path)
    return _named(list(found), list(found.values()), partial(read_zipped, archive))


def _named(paths: Sequence[str], keys: Sequence[Any], read: Callable[[Any], bytes]) -> ImageFiles:
    """Name the images and put them into natural order."""
    names = [posixpath.basename(path) for path in paths]
    if len(set(names)) < len(names):
        names = list(paths)
    order = sorted(range(len(names)), key=lambda index: natural_key(names[index]))
    sorted_keys = [keys[index] for index in order]
    return ImageFiles([names[index] for index in order], lambda index: read(sorted_keys[index]))


def _parquet(files: Sequence[Path]) -> ImageFiles:
    names: list[Any] = []
    places: list[_Place] = []
    columns = []
    for number, file in enumerate(files):
        try:
            with pq.ParquetFile(file) as parquet:
                image, name = _columns(file, parquet.schema_arrow)
                columns.append(image)
                before = len(places)
                for group in range(parquet.num_row_groups):
                    rows = parquet.metadata.row_group(group).num_rows
                    places += [_Place(number, group, row) for row in range(rows)]
                new = len(places) - before
                names += parquet.read([name])[name].to_pylist() if name else [None] * new
        except pa.ArrowException as error:
            reason = one_line(error)
            raise ValueError(
                f"{file} must be a Parquet file, but cannot be read: {reason}"
            ) from None
    _some(places, files[0])
    texts = ["" if name is None else str(name) for name in names]
    if "" in texts or max(Counter(texts).values()) > 1:
        texts = [str(row) for row in range(len(places))]
    reader = _Reader(files, columns)
    return ImageFiles(texts, lambda index: reader.read(places[index]))


def _columns(file: Path, schema: Any) -> tuple[str, str | None]:
    """The column of image bytes and that of names, chosen as in training data."""
    types = {field.name: field.type for field in schema}
    image = next((name for name in IMAGE_COLUMNS if _holds_bytes(types.get(name))), None)
    if image is None:
        wanted = ", ".join(IMAGE_COLUMNS)
        raise ValueError(
            f"{file} must have a column of image bytes (one of {wanted}), "
            f"but its columns are {', '.join(types)}"
        )
    path = f"{image}.bytes" if pa.types.is_struct(types[image]) else image
    return path, next((name for name in NAME_COLUMNS if name in types), None)


def _some(found: Any, where: object) -> Any:
    if not found:
        endings = ", ".join(SUFFIXES)
        raise ValueError(f"{where} must hold at least one image ({endings}), but holds none")
    return found
