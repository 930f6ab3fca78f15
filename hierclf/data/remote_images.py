"""Images to predict in an object store, listed and read where they are: nothing is copied.

Names, order and problems are those of `image_files.list_images`, which copies first. A listing
takes names and sizes in the store, the first bytes of files whose ending tells nothing, the
directories of zips, the ends of Parquet files, and the headers of tars: a request for nearly each
of their files.
"""

import fnmatch
import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from hierclf.data.archives import WAY_OUT, is_archive_name
from hierclf.data.bucket_sets import is_usable, pattern_in
from hierclf.data.file_names import unwritable_reason
from hierclf.data.image_files import completed, list_images
from hierclf.data.image_holders import InTar, parquet_images, tarred_images, zipped_images
from hierclf.data.image_kind import HEAD_BYTES, has_image_ending, looks_like_image
from hierclf.data.image_list import ImageFiles, named, natural_key, some
from hierclf.data.listing import Problem
from hierclf.data.parquet_images import ParquetReader
from hierclf.data.parquet_table import read_parquet
from hierclf.data.splits import split_of
from hierclf.data.tar_files import TarMember, members_of
from hierclf.data.zip_files import ZipReader, check_size
from hierclf.storage.address import file_path, is_address, parse_address
from hierclf.storage.fetch import wanted_files
from hierclf.storage.listing import RemoteFile
from hierclf.storage.remote_reader import RemoteReader, UnreachableError
from hierclf.storage.store import open_store

_AT_A_TIME = 16


def list_images_in_place(
    where: str, *, zip_encoding: str | None = None, keep_truncated: bool = False
) -> ImageFiles:
    """As `list_images`, but images in a store are read from it, without a copy on this machine.

    Arguments as `list_images`. Of a place on this machine, paths become absolute.

    Raises:
        ValueError: as `list_images`; one line.
        UnreachableError: `read_at` of the result raises it, where the store does not give an image.
    """
    if is_address(where) and (path := file_path(where)) is not None:
        where = str(path)
    if not is_address(where):
        where = str(Path(where).expanduser().absolute())
        return list_images(where, zip_encoding=zip_encoding, keep_truncated=keep_truncated)
    try:
        found = _list(where, zip_encoding)
    except UnreachableError as error:
        raise ValueError(str(error)) from None
    return completed(found) if keep_truncated else found


def _list(where: str, zip_encoding: str | None) -> ImageFiles:
    address = parse_address(where)
    parent, pattern = pattern_in(address.key)
    place = str(address.at(parent))
    listed, _ = wanted_files(open_store(place), is_usable)
    reader, files = RemoteReader(place), listed.files
    if pattern:
        files = [file for file in files if _matches(file.name.split("/"), pattern.split("/"))]
        found, others = _told_apart(reader, some(files, address.name))
        return _loose(reader, some(found, address.name), others)
    if not listed.is_file:
        return _folder(reader, files, address.name)
    ending = posixpath.splitext(files[0].name)[1].lower()
    if ending == ".zip":
        return _zip(reader, files[0], address.name, zip_encoding)
    if ending == ".parquet":
        return _parquet(reader, files, address.name, is_file=True)
    if ending == ".tar":
        return _tars(reader, files, address.name, is_file=True)
    if is_archive_name(files[0].name):
        raise ValueError(f"{address.name} {WAY_OUT}")
    return _loose(reader, files, [])


def _folder(reader: RemoteReader, files: Sequence[RemoteFile], where: str) -> ImageFiles:
    """As `list_images` takes a folder: its images, or else its Parquet files, or else its tars."""
    by_ending = {ending: _ending_in(files, ending) for ending in (".zip", ".parquet")}
    zips, tables = by_ending[".zip"], by_ending[".parquet"]
    rest = [file for file in files if file not in set(zips + tables)]
    found, others = _told_apart(reader, rest)
    if not found and tables:
        tables = sorted(tables, key=lambda file: natural_key(file.name))
        return _parquet(reader, tables, where, is_file=False)
    if not found and (tars := _shards(files)):
        return _tars(reader, tars, where, is_file=False)
    if not found and zips:
        raise ValueError(
            f"{where} must hold images, but holds only zips; name one: {where}/{zips[0].name}"
        )
    others += [file.name for file in (*zips, *tables)]
    return _loose(reader, some(found, where), others)


def _told_apart(
    reader: RemoteReader, files: Sequence[RemoteFile]
) -> tuple[list[RemoteFile], list[str]]:
    """The images, and names of the others; what names leave open, first bytes tell."""
    doubtful = [file for file in files if not has_image_ending(file.name)]

    def is_one(file: RemoteFile) -> bool:
        return looks_like_image(reader.read(file, 0, min(HEAD_BYTES, file.size)))

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        told = dict(zip(doubtful, pool.map(is_one, doubtful), strict=True))
    found = [file for file in files if told.get(file, True)]
    return found, [file.name for file in doubtful if not told[file]]


def _loose(reader: RemoteReader, files: Sequence[RemoteFile], others: list[str]) -> ImageFiles:
    return named(ImageFiles([file.name for file in files], files, partial(_read, reader), others))


def _read(reader: RemoteReader, file: RemoteFile) -> bytes:
    if reason := unwritable_reason(file.name):
        raise ValueError(reason)
    check_size(file.size)
    return reader.read(file)


def _zip(reader: RemoteReader, file: RemoteFile, where: str, encoding: str | None) -> ImageFiles:
    source = cast("partial[BinaryIO]", partial(reader.open, file))
    found = zipped_images(where, ZipReader(source, encoding), encoding)
    return replace(found, holders=_versions([file]))


def _tars(
    reader: RemoteReader, files: Sequence[RemoteFile], where: str, *, is_file: bool
) -> ImageFiles:
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        listed = [pool.submit(_members, reader, file) for file in files]
    names = [""] if is_file else [file.name for file in files]
    results = dict(zip(names, listed, strict=True))
    found = tarred_images(
        where, names, lambda name: results[name].result(), partial(_read_in_tar, reader, files)
    )
    return replace(found, holders=_versions(files))


def _members(reader: RemoteReader, file: RemoteFile) -> list[TarMember]:
    with reader.open(file) as tar:
        return list(members_of(cast("BinaryIO", tar), file.size))


def _read_in_tar(reader: RemoteReader, files: Sequence[RemoteFile], place: InTar) -> bytes:
    check_size(place.size)
    return reader.read_again(files[place.file], place.offset, place.size)


def _parquet(
    reader: RemoteReader, files: Sequence[RemoteFile], where: str, *, is_file: bool
) -> ImageFiles:
    by_path = {Path(file.name): file for file in files}
    problems: list[Problem] = []
    table = read_parquet(
        Path(), list(by_path), (), problems, source=lambda path: reader.open(by_path[path])
    )
    found = parquet_images(where, table, problems, is_file)
    assert table is not None
    images = ParquetReader(files, table.image_columns, reader.open)
    return replace(found, read_at=images.read, holders=_versions(files))


def _versions(files: Sequence[RemoteFile]) -> list[tuple[str, int, int | None]]:
    return [(file.name, file.size, file.stamp) for file in files]


def _ending_in(files: Sequence[RemoteFile], ending: str) -> list[RemoteFile]:
    return [file for file in files if posixpath.splitext(file.name)[1].lower() == ending]


def _shards(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """As `shard_paths.shards_in`: tars directly in the folder, or else in those of splits."""
    tars = sorted(_ending_in(files, ".tar"))
    direct = [file for file in tars if "/" not in file.name]
    return direct or [
        file for file in tars if file.name.count("/") == 1 and split_of(file.name.split("/")[0])
    ]


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a pattern as `glob` has it: only `**` takes slashes."""
    if not pattern or not path:
        return not pattern and not path
    if pattern[0] == "**":
        below = range(len(path)) if pattern[1:] else ()
        return not pattern[1:] or any(_matches(path[start:], pattern[1:]) for start in below)
    first = fnmatch.fnmatchcase(path[0], pattern[0])
    return first and _matches(path[1:], pattern[1:])
