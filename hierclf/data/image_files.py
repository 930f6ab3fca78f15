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
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hierclf.counts import counted
from hierclf.data.archives import WAY_OUT, is_other_archive, other_archives
from hierclf.data.encoded import with_jpeg_end
from hierclf.data.file_names import unwritable_reason
from hierclf.data.folders import Entry, walk_files
from hierclf.data.image_holders import InTar, parquet_images, tarred_images, zipped_images
from hierclf.data.image_kind import has_image_ending, is_image
from hierclf.data.image_list import ImageFiles, named, natural_key, some
from hierclf.data.image_store import is_loose_image, read_loose
from hierclf.data.listing import Problem
from hierclf.data.named_sets import local_images
from hierclf.data.parquet_table import read_parquet
from hierclf.data.shard_paths import shards_in
from hierclf.data.tar_files import TarMember, read_member, tar_members
from hierclf.data.zip_files import ZipReader


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
    return completed(found) if keep_truncated else found


def completed(files: ImageFiles) -> ImageFiles:
    """The same, with what is missing of JPEG files that end early filled."""
    return replace(files, read_at=partial(_with_end, files.read_at))


def _with_end(read_at: Callable[[Any], bytes], place: Any) -> bytes:
    return with_jpeg_end(read_at(place))


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
    return _loose(folder, _once(some(found, folder)), left_out=others)


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
    parents = [str(path.parent) for path in some(files, pattern)]
    root = Path(os.path.commonpath(parents))
    names = [path.relative_to(root).as_posix() for path in files]
    entries = [Entry(name, unsafe=unwritable_reason(name)) for name in names]
    found = [entry for entry in entries if is_loose_image(root, entry)]
    others = sorted({entry.path for entry in entries} - {entry.path for entry in found})
    return _loose(root, some(found, pattern), left_out=others)


def _loose(root: Path, entries: Sequence[Entry], left_out: Sequence[str] = ()) -> ImageFiles:
    files = ImageFiles([entry.path for entry in entries], entries, partial(_read, root), left_out)
    return named(files)


def _read(root: Path, entry: Entry) -> bytes:
    if entry.unsafe:
        raise ValueError(entry.unsafe)
    return read_loose(root, entry)


def _zip(path: Path, encoding: str | None) -> ImageFiles:
    reader = ZipReader(partial(Path, path), encoding)
    return replace(zipped_images(path, reader, encoding), holders=_versions([path]))


def _tars(root: Path, files: Sequence[Path]) -> ImageFiles:
    def members(name: str) -> Iterator[TarMember]:
        return tar_members(root if root.is_file() else root / name)

    names = ["" if file == root else file.relative_to(root).as_posix() for file in files]
    read = partial(_read_in_tar, [file.absolute() for file in files])
    return replace(tarred_images(root, names, members, read), holders=_versions(files))


def _read_in_tar(files: Sequence[Path], place: InTar) -> bytes:
    return read_member(files[place.file], place.offset, place.size)


def _parquet(root: Path, files: Sequence[Path]) -> ImageFiles:
    problems: list[Problem] = []
    table = read_parquet(root, files, (), problems)
    found = parquet_images(root, table, problems, root.is_file())
    return replace(found, holders=_versions(files))


def _versions(files: Sequence[Path]) -> list[tuple[str, int, int | None]]:
    stats = [file.stat() for file in files]
    pairs = zip(files, stats, strict=True)
    return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in pairs]
