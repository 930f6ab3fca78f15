"""Images to predict: a file, folder, zip, tar, glob pattern or Parquet, listed and read lazily.

Nothing is extracted, and no name is followed: the name of an entry in an archive is only a name.

An image is called by its bare file name, as label files call it, where no two images share one;
otherwise all are called by their path in the folder or zip. The order is natural (2.jpg before
10.jpg). Parquet keeps the order of its rows, since its images come by row group; its names are
those of the name column, or row numbers where there is none or a name is empty or repeats.
"""

import glob
import os
import posixpath
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hierclf.counts import counted
from hierclf.data.archives import WAY_OUT, is_archive_name, is_other_archive, other_archives
from hierclf.data.encoded import with_jpeg_end
from hierclf.data.file_names import LEAVES, unwritable_reason
from hierclf.data.folders import Entry, walk_files
from hierclf.data.image_kind import SUFFIXES, has_image_ending, is_image
from hierclf.data.image_store import is_loose_image, is_zipped_image, read_loose
from hierclf.data.listing import Problem
from hierclf.data.named_sets import local_images
from hierclf.data.parquet_table import image_names, read_parquet
from hierclf.data.shard_paths import shards_in
from hierclf.data.tar_files import TarMember, read_member, tar_members
from hierclf.data.zip_files import open_zip, read_zipped, zip_entries

Reader = Callable[[], bytes]
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class ImageFiles:
    """Images of which only the names are in memory; iterate for (name, function that reads).

    Attributes:
        names: all different.
        read: encoded bytes of image i, safe among threads; raises ValueError or OSError.
        left_out: paths of files in the same place that are no images.
    """

    names: Sequence[str]
    read: Callable[[int], bytes]
    left_out: Sequence[str] = ()

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


def list_images(
    where: str, *, zip_encoding: str | None = None, keep_truncated: bool = False
) -> ImageFiles:
    """List the images of a file, folder (nested), .zip, .tar, glob pattern or .parquet.

    In folders, zips and patterns an image is what ends or else begins like one, in tars what ends
    so. Hidden files are left out. A folder without images but with .parquet files means those, or
    else its tars.

    Args:
        where: the place or pattern, or the address of one.
        zip_encoding: of names in a zip that are not marked as UTF-8.
        keep_truncated: fill what is missing of JPEG files that end early, instead of refusing them.

    Raises:
        ValueError: nothing there, no image in it, an archive or Parquet file that cannot be read,
            or an address that cannot be fetched.
    """
    found = _list(local_images(where), zip_encoding)
    if not keep_truncated:
        return found
    return replace(found, read=lambda index: with_jpeg_end(found.read(index)))


def _list(where: str, zip_encoding: str | None) -> ImageFiles:
    path = Path(where).expanduser()
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        if path.suffix.lower() == ".zip":
            return _zip(path, zip_encoding)
        if path.suffix.lower() == ".parquet":
            return _parquet(path, [path])
        if path.suffix.lower() == ".tar":
            return _tars(path, [path])
        if not has_image_ending(path.name) and is_other_archive(path):
            raise ValueError(f"{path} {WAY_OUT}")
        return _loose(path.parent, [Entry(path.name, unsafe=unwritable_reason(path.name))])
    if glob.has_magic(where):
        return _pattern(str(path))
    raise ValueError(f"the images must exist, but there is no file, folder or pattern {where!r}")


def _folder(folder: Path) -> ImageFiles:
    found, zips, tables, others = [], [], [], []
    for entry in walk_files(folder, folder):
        suffix = posixpath.splitext(entry.path)[1].lower()
        if suffix == ".zip":
            zips.append(folder / entry.path)
        elif suffix == ".parquet" and not entry.unsafe:
            tables.append(folder / entry.path)
        elif is_image(entry.path, bytes) if entry.unsafe else is_loose_image(folder, entry):
            found.append(entry)
        else:
            others.append(entry.path)
    if not found and tables:
        return _parquet(folder, sorted(tables, key=lambda path: natural_key(str(path))))
    if not found and (tars := [shard.file for shard in shards_in(folder)]):
        return _tars(folder, tars)
    if not found and zips:
        raise ValueError(f"{folder} must hold images, but holds only zips; name one: {zips[0]}")
    if not found and (archives := other_archives(folder)):
        raise ValueError(f"{folder} must hold images, but {archives[0].name} {WAY_OUT}")
    others += [path.relative_to(folder).as_posix() for path in zips + tables]
    return _loose(folder, _once(_some(found, folder)), left_out=others)


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """Each file under its first path, with a warning where links to folders give it another."""
    once = list(dict.fromkeys(entries))
    if again := len(entries) - len(once):
        kept = set(map(id, once))
        first = next(entry.path for entry in entries if id(entry) not in kept)
        what = counted(again, "image is reached", "images are reached")
        what += " again through links to folders; each counts once"
        warnings.warn(f"{what} (first: {first!r})", stacklevel=2)
    return once


def _pattern(pattern: str) -> ImageFiles:
    # Not Path.glob: a pattern may be absolute. As a set: `**` may give a file twice.
    matches = (Path(match) for match in set(glob.iglob(pattern, recursive=True)))  # noqa: PTH207
    files = [path for path in matches if path.is_file()]
    parents = [str(path.parent) for path in _some(files, pattern)]
    root = Path(os.path.commonpath(parents))
    names = [path.relative_to(root).as_posix() for path in files]
    entries = [Entry(name, unsafe=unwritable_reason(name)) for name in names]
    found = [entry for entry in entries if is_loose_image(root, entry)]
    others = sorted({entry.path for entry in entries} - {entry.path for entry in found})
    return _loose(root, _some(found, pattern), left_out=others)


def _loose(root: Path, entries: Sequence[Entry], left_out: Sequence[str] = ()) -> ImageFiles:
    def read(entry: Entry) -> bytes:
        if entry.unsafe:
            raise ValueError(entry.unsafe)
        return read_loose(root, entry)

    return _named([entry.path for entry in entries], entries, read, left_out)


def _zip(path: Path, encoding: str | None) -> ImageFiles:
    try:
        archive = open_zip(path, encoding=encoding)
    except ValueError as error:
        raise ValueError(f"{path} must be a zip file, but it {error}") from None
    found, others = {}, []
    for entry in zip_entries(archive, encoding=encoding):  # an unsafe name is only a name here
        if not is_zipped_image(archive, entry.path, entry.info):
            others.append(entry.path)
        elif entry.path in found:
            raise ValueError(f"{path} must hold each name once, but holds {entry.path!r} twice")
        else:
            found[entry.path] = entry.info
    if not found and (nested := [name for name in others if is_archive_name(name)]):
        what = "must hold images, but holds archives, which are not looked into; unpack it"
        raise ValueError(f"{path} {what} (first: {nested[0]})")
    _some(found, path)
    return _named(list(found), list(found.values()), partial(read_zipped, archive), others)


def _tars(root: Path, files: Sequence[Path]) -> ImageFiles:
    found: dict[str, tuple[Path, TarMember]] = {}
    others = []
    for file in files:
        prefix = "" if file == root else f"{file.relative_to(root).as_posix()}/"
        for member in _members(file):
            path = f"{prefix}{member.path}"
            if not has_image_ending(path):
                others.append(path)
            elif path in found:
                raise ValueError(f"{file} must hold each name once, but holds {path!r} twice")
            else:
                found[path] = file, member

    def read(key: tuple[Path, TarMember]) -> bytes:
        file, member = key
        if member.unsafe and member.unsafe != LEAVES:
            raise ValueError(member.unsafe)
        return read_member(file, member.offset, member.size)

    _some(found, root)
    return _named(list(found), list(found.values()), read, others)


def _members(file: Path) -> list[TarMember]:
    try:
        return list(tar_members(file))
    except ValueError as error:
        raise ValueError(f"{file} must be a tar file, but it {error}") from None


def _named(
    paths: Sequence[str], keys: Sequence[Any], read: Callable[[Any], bytes], left_out: Sequence[str]
) -> ImageFiles:
    """Name the images and put them into natural order."""
    names = [posixpath.basename(path) for path in paths]
    if len(set(names)) < len(names):
        names = list(paths)
    order = sorted(range(len(names)), key=lambda index: natural_key(names[index]))
    sorted_keys = [keys[index] for index in order]
    return ImageFiles(
        [names[index] for index in order],
        lambda index: read(sorted_keys[index]),
        sorted(left_out, key=natural_key),
    )


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
