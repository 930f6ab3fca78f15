"""The accepted data formats, each read into one table of labelled images.

- Release layout: a folder with one CSV of the columns image, superclass_index and subclass_index
  (train_data.csv where there are several), superclass_mapping.csv, subclass_mapping.csv, and the
  images in a zip or loose, nested or not.
- Folder tree: super/sub/image.jpg.
- Parquet: a file, or a folder of files, with image bytes and two label columns.
- `demo` or `demo:SEED`: the built-in set. A folder of that name is `./demo`.

Everything wrong with the data is found in one pass and listed with row numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hierclf.images import FORMATS, SUFFIXES
from hierclf.labels import Hierarchy, is_novel_name
from hierclf.parquet import ParquetImages, list_parquet
from hierclf.stores import Entry, ImageStore, read_loose, unsafe_reason, walk_files
from hierclf.tables import (
    Level,
    Listing,
    Problem,
    Row,
    label_ids,
    read_csv,
    read_header,
    read_mapping,
    settle,
)

__all__ = ["Problem", "Source", "inspect_source", "open_source"]

COLUMNS = ("image", "superclass_index", "subclass_index")
PREFERRED_CSV = "train_data.csv"
SUPER_MAPPING, SUB_MAPPING = "superclass_mapping.csv", "subclass_mapping.csv"


@dataclass(frozen=True)
class Source:
    """A labelled set of images whose table is checked and whose pixels are not read yet.

    Attributes:
        name: short, for people.
        images: N image names as in the data, all different; outputs use them.
        super_labels: int64 [N], model indices; NOVEL allowed only in a test source.
        sub_labels: int64 [N], as above.
        hierarchy: the known classes, each of which has images here.
        read: encoded bytes of image i (or a uint8 [H, W, 3] array), safe among threads; raises
            ValueError or OSError where it cannot be read.
        fingerprint: hex; changes when the content changes. Computing it reads no image.
        problems: what is wrong but does not stop.
        missing: position -> reason of the images that are named but cannot be found.
        parquet: where the images are in Parquet files; None for other layouts.
    """

    name: str
    images: list[str]
    super_labels: NDArray[np.int64]
    sub_labels: NDArray[np.int64]
    hierarchy: Hierarchy
    read: Callable[[int], bytes | NDArray[np.uint8]]
    fingerprint: str
    problems: list[Problem]
    missing: Mapping[int, str] = field(default_factory=dict)
    parquet: ParquetImages | None = None


def open_source(path: str) -> Source:
    """Open training data: "demo", "demo:SEED", a folder or a .parquet file.

    Raises:
        ValueError: the first problem that stops, in one line, and how many more there are.
    """
    source, problems = inspect_source(path)
    if source is not None:
        return source
    fatal = [problem for problem in problems if problem.fatal]
    more = f" (and {len(fatal) - 1} more: `hierclf check {path}` lists them)"
    place = "" if fatal[0].where == path else f"{fatal[0].where}: "
    raise ValueError(f"{path}: {place}{fatal[0].what}{more if len(fatal) > 1 else ''}")


def inspect_source(path: str) -> tuple[Source | None, list[Problem]]:
    """Read a source and list every problem; the source is None where one of them is fatal."""
    if path == "demo" or path.startswith("demo:"):
        return _demo(path)
    problems: list[Problem] = []
    try:
        listing = _list(path, problems)
        if listing is None:
            return None, problems
        rows, hierarchy = settle(listing, problems)
        if hierarchy is None:
            return None, problems
        return _source(path, listing, rows, hierarchy, problems), problems
    except OSError as error:
        where = str(error.filename or path)
        problems.append(Problem(where, f"cannot be read: {error.strerror or error}", True))
        return None, problems


def _demo(path: str) -> tuple[Source | None, list[Problem]]:
    from hierclf.demo import demo_source  # it imports Source from here

    seed = path.removeprefix("demo").removeprefix(":") or "0"
    if not (seed.isascii() and seed.isdigit()):
        what = f"the seed after `demo:` must be an integer >= 0, but got {seed!r}"
        return None, [Problem(path, what, True)]
    source = demo_source(int(seed), "train")
    return source, source.problems


def _list(path: str, problems: list[Problem]) -> Listing | None:
    """Tell the format and read its table."""
    root = Path(path).expanduser()
    if not root.exists():
        problems.append(Problem(path, "no such file or folder", True))
        return None
    if root.is_file():
        if root.suffix.lower() == ".parquet":
            return list_parquet(root, problems)
        what = "is neither a folder nor a .parquet file (a zip belongs in a folder with its CSVs)"
        problems.append(Problem(path, what, True))
        return None
    tables = [file for file in root.glob("*.csv") if file.name not in (SUPER_MAPPING, SUB_MAPPING)]
    if not tables and any(root.glob("*.parquet")):
        return list_parquet(root, problems)
    if tables or (root / SUPER_MAPPING).exists() or (root / SUB_MAPPING).exists():
        return _list_release(root, problems)
    return _list_tree(root, problems)


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
        digest.update(json.dumps([row.image, row.super_id, row.sub_id, stamp]).encode())
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
    )


# --- release layout --------------------------------------------------------------------------


def _list_release(root: Path, problems: list[Problem]) -> Listing | None:
    levels = (
        read_mapping(root / SUPER_MAPPING, problems),
        read_mapping(root / SUB_MAPPING, problems),
    )
    table = _choose_csv(root, problems)
    if table is None or not all(level.names for level in levels):
        return None
    store = ImageStore(root, problems)
    rows = []
    for where, (image, *labels) in read_csv(table, COLUMNS, problems):
        ids = label_ids(where, labels, levels, problems)
        entry = _locate(store, where, image, problems)
        if ids is None or entry is None:
            continue
        missing = entry if isinstance(entry, str) else ""
        rows.append(Row(where, image, ids[0], ids[1], None if missing else entry, missing))
    return Listing(rows, *levels, read=store.read, stamp=_stamp)


def _choose_csv(root: Path, problems: list[Problem]) -> Path | None:
    """The CSV of images and labels: train_data.csv, or the only one with its columns."""
    if (root / PREFERRED_CSV).is_file():
        return root / PREFERRED_CSV
    mappings = (SUPER_MAPPING, SUB_MAPPING)
    tables = sorted(file for file in root.glob("*.csv") if file.name not in mappings)
    fitting = [file for file in tables if set(COLUMNS) <= set(read_header(file))]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        names = ", ".join(file.name for file in fitting)
        what = f"several CSVs could name the images ({names}); call the right one {PREFERRED_CSV}"
    elif len(tables) == 1:
        return tables[0]  # reading it names the column that is missing
    else:
        what = f"no CSV has the columns {', '.join(COLUMNS)}"
    problems.append(Problem(root.name, what, True))
    return None


def _locate(
    store: ImageStore, where: str, image: str, problems: list[Problem]
) -> Entry | str | None:
    """The file of a CSV row, the reason why it is missing, or None after naming a problem."""
    if not image:
        problems.append(Problem(where, "the image name is empty", True))
        return None
    if reason := unsafe_reason(image):
        problems.append(Problem(where, f"image {image!r}: {reason}", True))
        return None
    entry = store.locate(image)
    if isinstance(entry, Entry) and entry.unsafe:
        problems.append(Problem(where, f"image {image!r}: {entry.unsafe}", True))
        return None
    return entry


def _stamp(entry: Entry) -> list[int]:
    return list(entry.stamp)


# --- folder tree -----------------------------------------------------------------------------


def _list_tree(root: Path, problems: list[Problem]) -> Listing | None:
    found: list[tuple[str, str, Entry]] = []
    elsewhere: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for entry in walk_files(root, root):
        parts, suffix = entry.path.split("/"), Path(entry.path).suffix.lower()
        if entry.unsafe:
            problems.append(Problem(entry.path, entry.unsafe, True))
        elif suffix not in SUFFIXES:
            others[suffix or "(no ending)"] += 1
        elif len(parts) != 3:
            elsewhere["/".join(parts[:-1]) or "."] += 1
        else:
            found.append((parts[0], parts[1], entry))
    for folder, count in sorted(elsewhere.items()):
        what = f"{count} images do not lie in a folder super/sub; left out"
        problems.append(Problem(folder, what, False))
    for suffix, count in sorted(others.items()):
        what = f"{count} files are not of the formats {', '.join(FORMATS)}; left out"
        problems.append(Problem(f"files {suffix}", what, False))
    if not found:
        what = "no images at all: neither CSVs, nor Parquet files, nor folders super/sub/image.jpg"
        problems.append(Problem(root.name, what, True))
        return None
    return _tree_listing(root, found, problems)


def _tree_listing(
    root: Path, found: list[tuple[str, str, Entry]], problems: list[Problem]
) -> Listing:
    """Ids in sorted order; sub-classes of one name under two super-classes become super/sub."""
    parents: dict[str, set[str]] = defaultdict(set)
    for super_name, sub_name, _ in found:
        parents[sub_name].add(super_name)
    for name in sorted({name for *names, _ in found for name in names if is_novel_name(name)}):
        what = "a class is named 'novel', which training data must not hold"
        problems.append(Problem(f"folder {name!r}", what, True))

    def full(super_name: str, sub_name: str) -> str:
        return f"{super_name}/{sub_name}" if len(parents[sub_name]) > 1 else sub_name

    super_ids = {name: i for i, name in enumerate(sorted({s for s, _, _ in found}))}
    sub_ids = {name: i for i, name in enumerate(sorted({full(s, c) for s, c, _ in found}))}
    return Listing(
        rows=[
            Row(entry.path, entry.path, super_ids[s], sub_ids[full(s, c)], entry)
            for s, c, entry in found
        ],
        super_level=Level({i: name for name, i in super_ids.items()}, len(super_ids)),
        sub_level=Level({i: name for name, i in sub_ids.items()}, len(sub_ids)),
        read=partial(read_loose, root),
        stamp=_stamp,
    )
