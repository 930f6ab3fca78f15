"""The accepted data formats, each read into one table of labelled images.

- Release layout: a folder with one CSV of the columns image, superclass_index and subclass_index
  (train_data.csv where there are several), superclass_mapping.csv, subclass_mapping.csv, and the
  images in a zip or loose, nested or not.
- Folder tree: super/sub/image.jpg, or train/super/sub/image.jpg beside val and test.
- Parquet: a file, or a folder of files, with image bytes and two label columns.
- `demo` or `demo:SEED`: the built-in set. A folder of that name is `./demo`.

Everything wrong with the data is found in one pass and listed with row numbers.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from hierclf.data.alike_names import settle_alike
from hierclf.data.archives import WAY_OUT, is_other_archive
from hierclf.data.demo import demo_source
from hierclf.data.encoded import with_jpeg_end
from hierclf.data.grouping import check_rows, row_groups, row_is_val
from hierclf.data.listing import (
    Listing,
    Problem,
    Row,
    settle,
)
from hierclf.data.parquet import has_image_labels, list_parquet
from hierclf.data.parquet_table import has_images, parquet_files
from hierclf.data.release import csv_files, has_mapping, has_table, list_release
from hierclf.data.source import Source
from hierclf.data.tree import has_class_folders, list_tree
from hierclf.hierarchy import Hierarchy


def is_demo(path: str) -> bool:
    """Whether a path names the built-in set: exactly `demo` or `demo:SEED`."""
    return path == "demo" or path.startswith("demo:")


def open_source(
    path: str,
    *,
    normalise_names: bool = False,
    zip_encoding: str | None = None,
    keep_truncated: bool = False,
) -> Source:
    """Open training data.

    Args:
        path: "demo", "demo:SEED", a folder or a .parquet file.
        normalise_names: merge classes whose names differ only in case, spaces or the form of
            letters.
        zip_encoding: the encoding of names in zips that are not marked as UTF-8.
        keep_truncated: read JPEG files that end early, and fill the missing part.

    Raises:
        ValueError: the first fatal problem, in one line, and how many more there are.
    """
    source, problems = inspect_source(
        path,
        normalise_names=normalise_names,
        zip_encoding=zip_encoding,
        keep_truncated=keep_truncated,
    )
    if source is not None:
        return source
    fatal = [problem for problem in problems if problem.fatal]
    more = f" (and {len(fatal) - 1} more: `hierclf check {path}` lists them)"
    place = "" if fatal[0].where == path else f"{fatal[0].where}: "
    raise ValueError(f"{path}: {place}{fatal[0].what}{more if len(fatal) > 1 else ''}")


def inspect_source(
    path: str,
    *,
    normalise_names: bool = False,
    zip_encoding: str | None = None,
    keep_truncated: bool = False,
) -> tuple[Source | None, list[Problem]]:
    """Read a source and list every problem; the source is None if one of them is fatal.

    The arguments are those of `open_source`.
    """
    if is_demo(path):
        return _demo(path)
    problems: list[Problem] = []
    try:
        listing = _list(path, problems, zip_encoding)
        if listing is None:
            return None, problems
        listing = settle_alike(listing, problems, merge=normalise_names)
        rows, hierarchy = settle(listing, problems)
        check_rows(rows, listing.sub_level.names, problems)
        if hierarchy is None or any(problem.fatal for problem in problems):
            return None, problems
        source = _source(path, listing, rows, hierarchy, problems)
        return (_with_truncated(source) if keep_truncated else source), problems
    except OSError as error:
        where = str(error.filename or path)
        problems.append(Problem(where, f"cannot be read: {error.strerror or error}", True))
        return None, problems


def _demo(path: str) -> tuple[Source | None, list[Problem]]:
    seed = path.removeprefix("demo").removeprefix(":") or "0"
    if not (seed.isascii() and seed.isdigit()):
        what = f"the seed after `demo:` must be an integer >= 0, but got {seed!r}"
        return None, [Problem(path, what, True)]
    source = demo_source(int(seed), "train")
    return source, source.problems


def _list(path: str, problems: list[Problem], zip_encoding: str | None) -> Listing | None:
    """Recognise the format and read its table."""
    root = Path(path).expanduser()
    if not root.exists():
        problems.append(Problem(path, "no such file or folder", True))
        return None
    if root.is_file():
        if root.suffix.lower() == ".parquet":
            return list_parquet(root, problems)
        what = "is neither a folder nor a .parquet file (a zip belongs in a folder with its CSVs)"
        if root.suffix.lower() != ".zip" and is_other_archive(root):
            what = WAY_OUT
        problems.append(Problem(path, what, True))
        return None
    parquet = parquet_files(root)
    if has_table(root) and has_mapping(root):
        return list_release(root, problems, zip_encoding=zip_encoding)
    if not has_table(root) and any(has_image_labels(root, file) for file in parquet):
        return list_parquet(root, problems)
    tables = csv_files(root)
    if has_class_folders(root):
        for file in (*tables, *parquet):
            what = "not a table of images and labels with its mappings; left out, the class folders"
            problems.append(Problem(file.name, f"{what} are read", False))
        return list_tree(root, problems)
    # An incomplete layout is read nevertheless: the reader reports what is missing.
    if not tables and any(map(has_images, parquet)):
        return list_parquet(root, problems)
    if tables or has_mapping(root):
        return list_release(root, problems, zip_encoding=zip_encoding)
    return list_parquet(root, problems) if parquet else list_tree(root, problems)


def _source(
    path: str, listing: Listing, rows: list[Row], hierarchy: Hierarchy, problems: list[Problem]
) -> Source:
    super_labels, sub_labels = hierarchy.encode(
        [row.super_id for row in rows], [row.sub_id for row in rows]
    )
    missing = {i: row.missing for i, row in enumerate(rows) if row.missing}
    digest = hashlib.sha256(json.dumps(hierarchy.to_dict()).encode())
    for row in rows:
        stamp = None if row.missing else listing.stamp(row.key)
        # Without these columns, a table keeps the digest that it had before they were supported.
        division = [] if row.group is row.split is None else [row.group, row.split]
        parts = [row.image, row.super_id, row.sub_id, stamp, *division]
        digest.update(json.dumps(parts).encode())
    keys = [row.key for row in rows]

    def read(index: int) -> bytes:
        if index in missing:
            raise ValueError(missing[index])
        return listing.read(keys[index])

    return Source(
        name=Path(path).expanduser().resolve().name,
        images=[row.image for row in rows],
        super_labels=super_labels,
        sub_labels=sub_labels,
        hierarchy=hierarchy,
        read=read,
        fingerprint=digest.hexdigest(),
        problems=problems,
        missing=missing,
        parquet=listing.parquet and listing.parquet(keys),
        groups=row_groups(rows),
        is_val=row_is_val(rows),
    )


def _with_truncated(source: Source) -> Source:
    """The same source, except that it also reads JPEG files that end early."""

    def read(index: int) -> bytes:
        data = source.read(index)
        assert isinstance(data, bytes)
        return with_jpeg_end(data)

    return replace(
        source,
        read=read,
        fingerprint=hashlib.sha256(f"{source.fingerprint} truncated".encode()).hexdigest(),
        parquet=source.parquet and source.parquet._replace(keep_truncated=True),
    )
