"""Folders of images and labels: the release layout with its CSVs, and the tree super/sub."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

from hierclf.data.csv_tables import (
    label_ids,
    read_csv,
    read_header,
    read_mapping,
)
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.image_store import Entry, ImageStore, read_loose, unsafe_reason, walk_files
from hierclf.data.images import FORMATS, SUFFIXES
from hierclf.data.listing import (
    ClassNames,
    Listing,
    Problem,
    Row,
)
from hierclf.hierarchy import is_novel_name

COLUMNS = ("image", "superclass_index", "subclass_index")
PREFERRED_CSV = "train_data.csv"
SUPER_MAPPING, SUB_MAPPING = "superclass_mapping.csv", "subclass_mapping.csv"


# --- release layout --------------------------------------------------------------------------


def list_release(root: Path, problems: list[Problem]) -> Listing | None:
    levels = (
        read_mapping(root / SUPER_MAPPING, problems),
        read_mapping(root / SUB_MAPPING, problems),
    )
    table = _choose_csv(root, problems)
    if table is None or not all(level.names for level in levels):
        return None
    store = ImageStore(root, problems)
    rows = []
    extra = [column for column in (GROUP, SPLIT) if column in read_header(table)]
    for where, (image, *cells) in read_csv(table, [*COLUMNS, *extra], problems):
        ids = label_ids(where, cells[:2], levels, problems)
        entry = _locate(store, where, image, problems)
        if ids is None or entry is None:
            continue
        missing = entry if isinstance(entry, str) else ""
        key, division = None if missing else entry, dict(zip(extra, cells[2:], strict=True))
        groups = division.get(GROUP), division.get(SPLIT)
        rows.append(Row(where, image, *ids, key, missing, *groups))
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


def list_tree(root: Path, problems: list[Problem]) -> Listing | None:
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
        super_level=ClassNames({i: name for name, i in super_ids.items()}, len(super_ids)),
        sub_level=ClassNames({i: name for name, i in sub_ids.items()}, len(sub_ids)),
        read=partial(read_loose, root),
        stamp=_stamp,
    )
