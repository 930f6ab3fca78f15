"""The accepted data formats, each read into one table of labelled images.

- Release layout: a folder with one CSV of the columns image, superclass_index and subclass_index
  (train_data.csv where there are several), superclass_mapping.csv, subclass_mapping.csv, and the
  images in a zip or loose, nested or not.
- Tables of image files and labels (names or ids): CSV, TSV, JSON lines or Parquet; one, or one for
  each split; also as metadata.* in a Hugging Face imagefolder.
- Folder tree: super/sub/image.jpg, or sub/image.jpg with hierarchy.csv; also below train, val and
  test.
- Parquet: a file, or a folder of files, with image bytes and two label columns.
- WebDataset's shards: a tar, a folder of tars, or a pattern such as `train-{0000..0099}.tar`, of
  samples that hold an image and its labels.
- A set by name, `hf://OWNER/NAME` or `torchvision:NAME`: downloaded once, then one of the layouts
  above.
- An address, such as `s3://BUCKET/FOLDER`: fetched into the cache, then one of the layouts above.
- `demo` or `demo:SEED`: the built-in set. A folder of that name is `./demo`.

Everything wrong with the data is found in one pass and listed with row numbers.
"""

import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path

from hierclf.data.alike_names import settle_alike
from hierclf.data.columns import parse_columns
from hierclf.data.demo import demo_source
from hierclf.data.encoded import with_jpeg_end
from hierclf.data.grouping import check_rows, row_groups, row_is_val
from hierclf.data.layouts import TableOptions, list_layout
from hierclf.data.listing import (
    Listing,
    Problem,
    Row,
    settle,
)
from hierclf.data.named_sets import is_elsewhere, local_set
from hierclf.data.shard_paths import is_pattern
from hierclf.data.source import Source
from hierclf.hierarchy import Hierarchy
from hierclf.storage.address import is_address, shown


def is_demo(path: str) -> bool:
    """Whether a path names the built-in set: exactly `demo` or `demo:SEED`."""
    return path == "demo" or path.startswith("demo:")


def absolute(path: str) -> str:
    """The name of the same data in any working folder, where they are there."""
    if is_demo(path) or is_elsewhere(path):
        return path
    if Path(path).exists():
        return str(Path(path).resolve())
    return str(Path(path).expanduser().absolute()) if is_pattern(path) else path


def open_source(
    path: str,
    *,
    normalise_names: bool = False,
    zip_encoding: str | None = None,
    keep_truncated: bool = False,
    columns: str | None = None,
    hierarchy: str | None = None,
) -> Source:
    """Open training data.

    Args:
        path: "demo", "demo:SEED", a folder, a table (CSV, TSV, JSON lines or Parquet), a tar or
            pattern of tars, a set by name ("hf://OWNER/NAME", "torchvision:NAME"), or an address of
            any of these but the first ("s3://BUCKET/FOLDER").
        normalise_names: merge classes whose names differ only in case, spaces or the form of
            letters.
        zip_encoding: the encoding of names in zips that are not marked as UTF-8.
        keep_truncated: read JPEG files that end early, and fill the missing part.
        columns: the columns of a table, as "image=COLUMN,super=COLUMN,sub=COLUMN"; those that are
            not given are known by their names.
        hierarchy: a table that gives each sub-class its super-class; None takes hierarchy.csv
            beside the data where there is one.

    Raises:
        ValueError: the first fatal problem, in one line, and how many more there are.
    """
    source, problems = inspect_source(
        path,
        normalise_names=normalise_names,
        zip_encoding=zip_encoding,
        keep_truncated=keep_truncated,
        columns=columns,
        hierarchy=hierarchy,
    )
    if source is not None:
        return source
    fatal = [problem for problem in problems if problem.fatal]
    given = [path, *(["--columns", columns] if columns else [])]
    given += ["--hierarchy", hierarchy] if hierarchy else []
    more = f" (and {len(fatal) - 1} more: `hierclf check {shlex.join(given)}` lists them)"
    path = shown(path) if is_address(path) else path
    place = "" if fatal[0].where == path else f"{fatal[0].where}: "
    raise ValueError(f"{path}: {place}{fatal[0].what}{more if len(fatal) > 1 else ''}")


def inspect_source(
    path: str,
    *,
    normalise_names: bool = False,
    zip_encoding: str | None = None,
    keep_truncated: bool = False,
    columns: str | None = None,
    hierarchy: str | None = None,
) -> tuple[Source | None, list[Problem]]:
    """Read a source and list every problem; the source is None if one of them is fatal.

    The arguments are those of `open_source`.
    """
    if is_demo(path):
        return _demo(path)
    problems: list[Problem] = []
    options = TableOptions(parse_columns(columns), hierarchy, zip_encoding)
    try:
        place = _place(path, problems)
        listing = None if place is None else list_layout(place, problems, options)
        if listing is None:
            return None, problems
        listing = settle_alike(listing, problems, merge=normalise_names)
        rows, known = settle(listing, problems)
        check_rows(rows, listing.sub_level.names, problems)
        if known is None or any(problem.fatal for problem in problems):
            return None, problems
        source = _source(path, listing, rows, known, problems)
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


def _place(path: str, problems: list[Problem]) -> str | None:
    """The file or folder to read, of a set elsewhere, too; None after a problem."""
    if not is_elsewhere(path):
        return path
    try:
        found = local_set(path)
    except ValueError as error:
        where = shown(path) if is_address(path) else path
        problems.append(Problem(where, str(error).removeprefix(f"{path}: "), True))
        return None
    problems += [Problem(path, found.note, False)] if found.note else []
    return found.place


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
