"""The images that zips, tars and Parquet files hold, listed without reading them."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hierclf.data.archives import is_archive_name
from hierclf.data.file_names import LEAVES
from hierclf.data.image_kind import has_image_ending
from hierclf.data.image_list import ImageFiles, named, some
from hierclf.data.image_store import is_zipped_image
from hierclf.data.listing import Problem
from hierclf.data.parquet_table import ParquetTable, image_names
from hierclf.data.tar_files import TarMember
from hierclf.data.zip_files import ZipReader, zip_entries


def zipped_images(where: object, reader: ZipReader, encoding: str | None) -> ImageFiles:
    """The images of a zip.

    Args:
        where: what messages call it.
        reader: of the zip.
        encoding: what the reader was made with.

    Raises:
        ValueError: it cannot be read, or holds no image.
    """
    try:
        archive = reader.archive
    except ValueError as error:
        raise ValueError(f"{where} must be a zip file, but it {error}") from None
    found, others = {}, []
    for entry in zip_entries(archive, encoding=encoding):  # an unsafe name is only a name here
        if not is_zipped_image(archive, entry.path, entry.info):
            others.append(entry.path)
        elif entry.path in found:
            raise ValueError(f"{where} must hold each name once, but holds {entry.path!r} twice")
        else:
            found[entry.path] = entry.info
    if not found and (nested := [name for name in others if is_archive_name(name)]):
        what = "must hold images, but holds archives, which are not looked into; unpack it"
        raise ValueError(f"{where} {what} (first: {nested[0]})")
    some(found, where)
    return named(ImageFiles(list(found), list(found.values()), reader.read, others))


class InTar(NamedTuple):
    """Where an image in tars is: the number of the file, and bytes in it."""

    file: int
    offset: int
    size: int
    unsafe: str


def tarred_images(
    where: Path | str,
    files: Sequence[str],
    members: Callable[[str], Iterable[TarMember]],
    read: Callable[[InTar], bytes],
) -> ImageFiles:
    """The images of some tars.

    Args:
        where: what messages call the tar, or the folder of all.
        files: their paths in the folder; empty for a tar by itself.
        members: the files in one of them.
        read: bytes of an image.

    Raises:
        ValueError: a tar cannot be read, a name repeats, or there is no image.
    """
    found: dict[str, InTar] = {}
    others = []
    for number, file in enumerate(files):
        place = f"{where}/{file}" if file else f"{where}"
        try:
            inside = list(members(file))
        except ValueError as error:
            raise ValueError(f"{place} must be a tar file, but it {error}") from None
        for member in inside:
            path = f"{file}/{member.path}" if file else member.path
            if not has_image_ending(path):
                others.append(path)
            elif path in found:
                raise ValueError(f"{place} must hold each name once, but holds {path!r} twice")
            else:
                unsafe = "" if member.unsafe == LEAVES else member.unsafe  # only a name here
                found[path] = InTar(number, member.offset, member.size, unsafe)
    some(found, where)
    return named(ImageFiles(list(found), list(found.values()), partial(_safely, read), others))


def _safely(read: Callable[[InTar], bytes], place: InTar) -> bytes:
    if place.unsafe:
        raise ValueError(place.unsafe)
    return read(place)


def parquet_images(
    where: Path | str, table: ParquetTable | None, problems: list[Problem], is_file: bool
) -> ImageFiles:
    """The images of some Parquet files.

    Args:
        where: what messages call the file, or the folder of all.
        table: from `read_parquet`.
        problems: those that it found.
        is_file: whether `where` is the file.

    Raises:
        ValueError: a problem that stops, or no rows.
    """
    if table is None or any(problem.fatal for problem in problems):
        last = problems[-1]
        raise ValueError(f"{where if is_file else f'{where}/{last.where}'}: {last.what}")
    places = some(table.places, where)
    return ImageFiles(image_names(table.names, problems), places, table.reader().read)
