"""Data sets and images in object stores: fetched into the cache, then a layout like any other."""

import fnmatch
import glob
import posixpath
import re
from pathlib import Path
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.data.file_names import is_hidden
from hierclf.data.hierarchy_file import HIERARCHY
from hierclf.data.image_kind import SUFFIXES, is_other_image, kinds_left_out
from hierclf.data.parquet_table import has_images
from hierclf.data.shard_paths import expanded, is_pattern
from hierclf.data.table_files import TABLE_ENDINGS
from hierclf.storage.address import file_path, parse_address
from hierclf.storage.fetch import Fetched, fetch

_MAPPINGS = ("superclass_mapping.csv", "subclass_mapping.csv")
# Files without an ending may be images, which are known by their content.
_ENDINGS = ("", *TABLE_ENDINGS, ".zip", ".tar", *SUFFIXES)


class BucketSet(NamedTuple):
    """A set on this machine.

    Attributes:
        place: a path or a pattern of tars.
        note: what to say of files that were left out; empty where there is nothing to say.
    """

    place: str
    note: str


def bucket_set(text: str, cache: Path) -> BucketSet:
    """Labelled images at an address: a folder, a table, a tar, Parquet, or a pattern of tars.

    Args:
        text: the address.
        cache: the folder of all copies.

    Raises:
        ValueError: as `fetch`.
        OSError: the copies cannot be written.
    """
    if (path := file_path(text)) is not None:
        return BucketSet(str(path), "")
    address = parse_address(text)
    if is_pattern(address.key):
        return BucketSet(_shards(text, cache), "")
    parent, _, name = address.key.rpartition("/")
    folder = str(address.at(parent))
    ending = posixpath.splitext(name)[1].lower()
    if ending in TABLE_ENDINGS and ending != ".parquet":
        return _in_folder(folder, name, cache)
    found = fetch(text, cache, wanted=is_usable, beside=(HIERARCHY, *_MAPPINGS))
    if found.place.is_file() and ending == ".parquet" and not has_images(found.place):
        return _in_folder(folder, name, cache)  # a table: its images lie beside it
    return BucketSet(str(found.place), _note(found))


def bucket_images(text: str, cache: Path) -> str:
    """Images at an address: a file, folder, zip, tar, Parquet or a pattern with `*`.

    Returns:
        The path or pattern on this machine.

    Raises:
        ValueError: as `fetch`.
        OSError: the copies cannot be written.
    """
    if (path := file_path(text)) is not None:
        return str(path)
    address = parse_address(text)
    parent, rest = pattern_in(address.key)
    if not rest:
        return str(fetch(text, cache, wanted=is_usable).place)
    # `*` takes slashes here, too: more is fetched than a pattern of paths means.
    forms = rest, rest.replace("**/", "")

    def wanted(name: str) -> bool:
        return is_usable(name) and any(fnmatch.fnmatchcase(name, form) for form in forms)

    folder = fetch(str(address.at(parent)), cache, wanted=wanted).place
    return f"{glob.escape(str(folder))}/{rest}"


def pattern_in(key: str) -> tuple[str, str]:
    """The folder that a key's pattern with `*` is below, and the pattern; else the key and ""."""
    magic = re.search(r"[*\[]", key)
    if magic is None:
        return key, ""
    parent = key[: magic.start()].rpartition("/")[0]
    return parent, key.removeprefix(parent).lstrip("/")


def _in_folder(folder: str, name: str, cache: Path) -> BucketSet:
    found = fetch(folder, cache, wanted=is_usable)
    return BucketSet(str(found.place / name), _note(found))


def _shards(text: str, cache: Path) -> str:
    address = parse_address(text)
    parent = address.key.partition("{")[0].rpartition("/")[0]
    rest = address.key.removeprefix(parent).lstrip("/")
    names = {*expanded(rest), HIERARCHY}
    folder = fetch(str(address.at(parent)), cache, wanted=lambda name: name in names).place
    missing = [name for name in expanded(rest) if not (folder / name).is_file()]
    if missing:
        what = counted(len(missing), "shard is not there", "shards are not there")
        raise ValueError(f"{what}, of {len(expanded(rest))} (first: {missing[0]})")
    return f"{folder}/{rest}"


def is_usable(name: str) -> bool:
    """Whether a layout may use a file, by its name."""
    return posixpath.splitext(name)[1].lower() in _ENDINGS and not is_hidden(name)


def _note(found: Fetched) -> str:
    others = [name for name in found.left_out if is_other_image(name) and not is_hidden(name)]
    return kinds_left_out(others) if others else ""
