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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hierclf.data.image_store import (
    Entry,
    open_zip,
    read_loose,
    read_zipped,
    unwritable_reason,
    walk_files,
)
from hierclf.data.images import SUFFIXES
from hierclf.data.listing import Problem
from hierclf.data.parquet_table import image_names, read_parquet

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
            return _parquet(path, [path])
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
        return _parquet(folder, sorted(tables, key=lambda path: natural_key(str(path))))
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


def _parquet(root: Path, files: Sequence[Path]) -> ImageFiles:
    problems: list[Problem] = []
    table = read_parquet(root, files, (), problems)
    if table is None or any(problem.fatal for problem in problems):
        where = root if root.is_file() else root / problems[-1].where
        raise ValueError(f"{where}: {problems[-1].what}")
    places, reader = _some(table.places, root), table.reader()
    return ImageFiles(image_names(table.names, problems), lambda i: reader.read(places[i]))


def _some(found: Any, where: object) -> Any:
    if not found:
        endings = ", ".join(SUFFIXES)
        raise ValueError(f"{where} must hold at least one image ({endings}), but holds none")
    return found
