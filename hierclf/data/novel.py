"""Novel images that a user has: of no known class, labelled at either level or not at all.

- A folder: images in it are not labelled; those in `name/` are of the class `name`, a super-class
  where that is a known one and a sub-class otherwise; those in `super/sub/` have both labels.
- A CSV, TSV or JSON lines file, or a folder with a CSV, of a column `image` and any of superclass,
  subclass, superclass_index and subclass_index. Names and ids are those of the known classes;
  others are new.
- A Parquet file, or a folder of them, with image bytes and any of these columns.

An empty label is no label; the name `novel` and the novel id mean a new class without a name.

Shape legend: M novel images.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.data.csv_tables import parse_integer, read_header
from hierclf.data.encoded import with_jpeg_end
from hierclf.data.file_names import LEAVES, leaves
from hierclf.data.folders import Entry, links_out, walk_files
from hierclf.data.image_kind import is_other_image, kinds_left_out
from hierclf.data.image_store import ImageStore, is_loose_image, read_loose
from hierclf.data.images import fit_to, read_rgb
from hierclf.data.listing import Problem
from hierclf.data.named_sets import is_elsewhere, local_set
from hierclf.data.parquet_table import cell_text, image_names, parquet_files, read_parquet
from hierclf.data.release import csv_files
from hierclf.data.source import Source
from hierclf.data.table_files import TABLE_ENDINGS, is_table, read_table, table_columns
from hierclf.hierarchy import NOVEL, NOVEL_NAME, UNLABELLED, Hierarchy, is_novel_name

COLUMNS = ("superclass", "subclass", "superclass_index", "subclass_index")


@dataclass(frozen=True)
class NovelSource:
    """Novel images whose labels are checked and whose pixels are not read yet.

    Attributes:
        source: M images; its sub_labels are all NOVEL, its super_labels model indices of known
            super-classes, NOVEL for new ones, or UNLABELLED.
        classes: int64 [M], the number of each image's class: of a pair of labels.
        class_names: by that number, such as "bird/ostrich"; "?" stands for a missing label.
        new_supers: int64, by that number: the number of the class's new super-class, from 0; -1
            where its super-class is known or not labelled.
    """

    source: Source
    classes: NDArray[np.int64]
    class_names: list[str]
    new_supers: NDArray[np.int64]


Labels = tuple[str | None, str | None]
"""Names of super- and sub-class: None without a label, "" for a new class without a name."""


class _Row(NamedTuple):
    where: str
    image: str
    labels: Labels
    key: Any


class _Rows(NamedTuple):
    rows: list[_Row]
    read: Callable[[Any], bytes]
    stamp: Callable[[Any], Any]


def open_novel(
    path: str,
    hierarchy: Hierarchy,
    *,
    height: int,
    width: int,
    keep_truncated: bool = False,
    key: str = "data.novel",
) -> NovelSource:
    """Read the labels of novel images.

    Args:
        path: as the module's docstring says.
        hierarchy: the known classes.
        height, width: of the decoded known images; novel ones are brought to that size.
        keep_truncated: fill what is missing of JPEG files that end early, instead of refusing them.
        key: of the configuration, for messages.

    Raises:
        ValueError: nothing there, a label of a known sub-class, or anything else that is wrong.
    """
    problems: list[Problem] = []
    where = f"{key}={path}"
    try:
        place = local_set(path).place if is_elsewhere(path) else path
        found = _list(Path(place).expanduser(), hierarchy, problems)
    except OSError as error:
        raise ValueError(f"{where}: cannot be read: {error.strerror or error}") from None
    fatal = [problem for problem in problems if problem.fatal]
    if fatal:
        raise ValueError(f"{where}: {fatal[0].where}: {fatal[0].what}")
    if found is None or not found.rows:
        raise ValueError(f"{where} must hold images, but holds none")
    rows = found.rows
    _refuse_known(where, rows, hierarchy)
    parts = [hierarchy.to_dict(), height, width, *(["truncated"] if keep_truncated else [])]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for row in rows:
        digest.update(json.dumps([row.image, row.labels, found.stamp(row.key)]).encode())
    index = {name: i for i, name in enumerate(hierarchy.super_names)}
    supers = [UNLABELLED if name is None else index.get(name, NOVEL) for name, _ in _labels(rows)]
    titles = [_title(labels) for labels in _labels(rows)]
    names = sorted(set(titles))

    def encoded(i: int) -> bytes:
        data = found.read(rows[i].key)
        return with_jpeg_end(data) if keep_truncated else data

    source = Source(
        name=Path(path).expanduser().resolve().name,
        images=[row.image for row in rows],
        super_labels=np.array(supers, dtype=np.int64),
        sub_labels=np.full(len(rows), NOVEL, dtype=np.int64),
        hierarchy=hierarchy,
        read=lambda i: fit_to(read_rgb(encoded, i), height, width),
        fingerprint=digest.hexdigest(),
        problems=problems,
    )
    label_of = dict(zip(titles, _labels(rows), strict=True))
    number_of = {name: i for i, name in enumerate(names)}
    classes = np.array([number_of[title] for title in titles], dtype=np.int64)
    return NovelSource(source, classes, names, _new_supers([label_of[n] for n in names], index))


def _new_supers(labels: Sequence[Labels], known: Mapping[str, int]) -> NDArray[np.int64]:
    """The number of each class's new super-class; -1 for a known one and for none."""
    supers = [name for name, _ in labels]
    new = sorted({name for name in supers if name is not None and name not in known})
    return np.array([new.index(name) if name in new else -1 for name in supers], dtype=np.int64)


def _labels(rows: Sequence[_Row]) -> list[Labels]:
    return [row.labels for row in rows]


def _title(labels: Labels) -> str:
    """The name of a class; "?" for a missing label, "novel" for a new class without a name."""
    return "/".join("?" if label is None else label or NOVEL_NAME for label in labels)


def _refuse_known(given: str, rows: Sequence[_Row], hierarchy: Hierarchy) -> None:
    """Raise for a known sub-class; below another super-class, its name is another class."""
    parents = (hierarchy.super_names[parent] for parent in hierarchy.sub_to_super)
    parent_of = dict(zip(hierarchy.sub_names, parents, strict=True))
    known = [
        row
        for row in rows
        if row.labels[1] in parent_of and row.labels[0] in (None, parent_of[row.labels[1]])
    ]
    if known:
        raise ValueError(
            f"{given} must hold images of new classes, but {len(known)} of {len(rows)} "
            f"are of a known sub-class (first: {known[0].where}, {known[0].labels[1]!r})"
        )


# --- the formats -----------------------------------------------------------------------------


def _list(path: Path, hierarchy: Hierarchy, problems: list[Problem]) -> _Rows | None:
    if not path.exists():
        problems.append(Problem(path.name, "no such file or folder", True))
        return None
    if path.is_file():
        if path.suffix.lower() == ".parquet":
            return _from_parquet(path, [path], hierarchy, problems)
        if is_table(path):
            return _from_table(path, hierarchy, problems)
        what = f"must be a folder or a table ({', '.join(TABLE_ENDINGS)})"
        problems.append(Problem(path.name, what, True))
        return None
    tables = [file for file in csv_files(path) if "image" in read_header(file)]
    if len(tables) > 1:
        names = ", ".join(file.name for file in tables)
        problems.append(Problem(path.name, f"name one of its CSV files ({names})", True))
        return None
    if tables:
        return _from_table(tables[0], hierarchy, problems)
    if files := parquet_files(path):
        return _from_parquet(path, files, hierarchy, problems)
    return _from_folder(path, hierarchy, problems)


def _from_folder(root: Path, hierarchy: Hierarchy, problems: list[Problem]) -> _Rows:
    rows: list[_Row] = []
    outside: list[str] = []
    other_images: list[str] = []
    for entry in walk_files(root, root, outside):
        *folders, _ = entry.path.split("/")
        if not entry.unsafe and not is_loose_image(root, entry):
            if is_other_image(entry.path):
                other_images.append(entry.path)
            continue
        if entry.unsafe or len(folders) > 2:
            what = entry.unsafe or "lies deeper than super/sub/image"
            problems.append(Problem(entry.path, what, True))
            continue
        names: list[str | None] = [*folders, None, None]
        if len(folders) == 1 and folders[0] not in hierarchy.super_names:
            names.insert(0, None)
        rows.append(_Row(entry.path, entry.path, (names[0], names[1]), entry))
    problems += links_out(root, outside)
    if other_images:
        problems.append(Problem(root.name, kinds_left_out(other_images), False))
    return _Rows(rows, partial(read_loose, root), _stamp)


def _from_table(table: Path, hierarchy: Hierarchy, problems: list[Problem]) -> _Rows:
    header = table_columns(table)
    columns = [column for column in COLUMNS if column in header]
    store = ImageStore(table.parent, problems)
    rows: dict[Entry, _Row] = {}
    for where, (image, *cells) in read_table(table, ["image", *columns], problems):
        entry = LEAVES if leaves(image) else store.locate(image)
        reason = entry if isinstance(entry, str) else entry.unsafe
        labels = _from_cells(dict(zip(columns, cells, strict=True)), hierarchy)
        if isinstance(entry, str) or reason:
            problems.append(Problem(where, f"image {image!r}: {reason}", True))
        elif (first := rows.setdefault(entry, _Row(where, image, labels, entry))).where != where:
            what = f"image {image!r} appears again (first: {first.where})"
            problems.append(Problem(where, what, True))
    return _Rows(list(rows.values()), store.read, _stamp)


def _from_parquet(
    root: Path, files: Sequence[Path], hierarchy: Hierarchy, problems: list[Problem]
) -> _Rows | None:
    table = read_parquet(root, files, COLUMNS, problems)
    if table is None:
        return None
    cells = {column: list(map(cell_text, values)) for column, values in table.cells.items()}
    names = image_names(table.names, problems)
    rows = []
    for i, (where, name, place) in enumerate(zip(table.where, names, table.places, strict=True)):
        labels = _from_cells({column: values[i] for column, values in cells.items()}, hierarchy)
        rows.append(_Row(where, name, labels, place))
    stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in table.files]
    return _Rows(rows, table.reader().read, lambda place: [*stamps[place.file], *place])


def _stamp(entry: Entry) -> list[int]:
    return list(entry.stamp)


def _from_cells(cells: Mapping[str, str], hierarchy: Hierarchy) -> Labels:
    """Names from cells of COLUMNS; a name goes before an id."""
    known = hierarchy
    return (
        _name(cells, "superclass", known.super_names, known.super_ids, known.novel_super_id),
        _name(cells, "subclass", known.sub_names, known.sub_ids, known.novel_sub_id),
    )


def _name(
    cells: Mapping[str, str], kind: str, names: Sequence[str], ids: Sequence[int], novel_id: int
) -> str | None:
    if name := cells.get(kind, ""):
        return "" if is_novel_name(name) else name
    text = cells.get(f"{kind}_index", "")
    number = parse_integer(text)
    if number in ids:
        return names[ids.index(number)]
    return None if not text else "" if number == novel_id else text
