"""Which layout a path holds: the release, a tree, Parquet, tables of image files, or tars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hierclf.data.archives import WAY_OUT, is_other_archive
from hierclf.data.classes import find_levels
from hierclf.data.columns import IMAGE
from hierclf.data.hierarchy_file import Parents, hierarchy_file, read_parents
from hierclf.data.image_store import ImageStore
from hierclf.data.labelled_tables import Part, list_rows, read_parts
from hierclf.data.listing import Listing, Problem
from hierclf.data.parquet import has_image_labels, list_parquet
from hierclf.data.parquet_table import has_images, parquet_files
from hierclf.data.release import csv_files, has_mapping, has_table, list_release
from hierclf.data.shard_paths import (
    Shard,
    common_folder,
    is_pattern,
    shards_in,
    shards_of_pattern,
)
from hierclf.data.splits import without_test
from hierclf.data.table_files import TABLE_ENDINGS, is_table, table_columns
from hierclf.data.table_search import (
    METADATA,
    find_parts,
    parts_of_splits,
    tables_of,
    without_test_parts,
)
from hierclf.data.tree import has_class_folders, list_tree
from hierclf.data.web_dataset import list_shards


@dataclass(frozen=True)
class TableOptions:
    """How a user says what tables hold.

    Attributes:
        columns: by role, as `columns.parse_columns` gives them; others are known by name.
        hierarchy: the file that gives each sub-class its super-class; None looks for
            hierarchy.csv beside the data.
        zip_encoding: the encoding of names in zips that are not marked as UTF-8.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    hierarchy: str | None = None
    zip_encoding: str | None = None


def list_layout(path: str, problems: list[Problem], options: TableOptions) -> Listing | None:
    """Recognise the layout of labelled images and read its table; None after a fatal problem.

    Args:
        path: a folder, a file, or a pattern of tars.
        problems: the list to add to.
        options: what the user says of tables.
    """
    root = Path(path).expanduser()
    shards: list[Shard] = []
    if is_pattern(path) and not root.exists():
        if not (shards := shards_of_pattern(path, problems)):
            return None
        folder = common_folder(shards)
    elif root.exists():
        folder = root if root.is_dir() else root.parent
    else:
        problems.append(Problem(path, "no such file or folder", True))
        return None
    file = hierarchy_file(folder, options.hierarchy)
    bad: list[Problem] = []
    parents = None if file is None else read_parents(file, bad)
    if bad and options.hierarchy is not None:
        problems += bad
        return None
    parents = None if bad else parents
    listing: Listing | None
    if shards:
        listing = list_shards(folder, shards, problems, options.columns, parents)
    else:
        find = _list_file if root.is_file() else _list_folder
        listing = find(root, problems, options, parents)
    # Data that name both levels need no such file, whatever a file of that name holds.
    needed = listing is None or any(problem.fatal for problem in problems)
    problems[:0] = [problem._replace(fatal=needed) for problem in bad]
    return listing


def _list_file(
    root: Path, problems: list[Problem], options: TableOptions, parents: Parents | None
) -> Listing | None:
    if root.suffix.lower() == ".parquet" and (
        has_images(root, options.columns.get(IMAGE)) or not table_columns(root)
    ):
        return list_parquet(root, problems, options.columns, parents)
    if is_table(root):
        return _list_tables(root.parent, [Part(root)], problems, options, parents)
    if root.suffix.lower() == ".tar":
        return list_shards(root.parent, [Shard(root)], problems, options.columns, parents)
    what = "is neither a folder nor a .parquet file (a zip belongs in a folder with its CSVs)"
    if root.suffix.lower() != ".zip" and is_other_archive(root):
        what = WAY_OUT
    problems.append(Problem(str(root), what, True))
    return None


def _list_folder(
    root: Path, problems: list[Problem], options: TableOptions, parents: Parents | None
) -> Listing | None:
    parquet, is_release = parquet_files(root), has_table(root) and not options.columns
    if is_release and has_mapping(root):
        return list_release(root, problems, zip_encoding=options.zip_encoding)
    named = options.columns
    if not is_release and any(has_image_labels(root, file, named, parents) for file in parquet):
        return list_parquet(root, problems, named, parents)
    has_classes = has_class_folders(root)
    needs_super = parents is None
    before = len(problems)
    parts = find_parts(root, named, problems, needs_super=needs_super)
    # Class folders say as much as a table that is not named for it.
    if parts and (not has_classes or named or parts[0].file.name.lower() in METADATA):
        return _list_tables(root, parts, problems, options, parents)
    if not parts and not has_classes and not tables_of(root) and (shards := shards_in(root)):
        return list_shards(root, shards, problems, named, parents)
    tables = csv_files(root)
    if named and len(problems) == before:
        _without_columns(root, problems, options, parents)
        return None
    if has_classes:
        del problems[before:]
        own = {part.file for part in parts}
        problems += [_left_out(file, root, is_data=file in own) for file in (*tables, *parquet)]
        return list_tree(root, problems, parents)
    if len(problems) > before:
        return None
    # An incomplete layout is read nevertheless: the reader reports what is missing.
    if not tables and any(map(has_images, parquet)):
        return list_parquet(root, problems)
    if is_release or has_mapping(root):
        return list_release(root, problems, zip_encoding=options.zip_encoding)
    if others := parts_of_splits(root) or [Part(file) for file in tables_of(root)]:
        return _list_tables(root, others, problems, options, parents)
    return list_parquet(root, problems) if parquet else list_tree(root, problems, parents)


def _left_out(file: Path, root: Path, *, is_data: bool) -> Problem:
    """A warning for a table beside class folders, with the way to read it instead."""
    columns = ", ".join(table_columns(file)) or "unreadable"
    how = f"--columns image=...,super=...,sub=... names its columns ({columns})"
    if is_data:
        how = f"give it in place of {root}"
    what = f"a table beside class folders, which are read; to read it instead, {how}"
    return Problem(file.name, what, False)


def _without_columns(
    root: Path, problems: list[Problem], options: TableOptions, parents: Parents | None
) -> None:
    """Say why no table has the columns that the user named."""
    if tables := parts_of_splits(root) or [Part(file) for file in tables_of(root)]:
        read_parts(tables, options.columns, problems, parents=parents)
    else:
        what = "--columns names the columns of a table, but no table of images is there "
        problems.append(Problem(root.name, f"{what}({', '.join(TABLE_ENDINGS)})", True))


def _list_tables(
    root: Path,
    parts: Sequence[Part],
    problems: list[Problem],
    options: TableOptions,
    parents: Parents | None,
) -> Listing | None:
    parts = without_test_parts(parts, problems)
    store = ImageStore(root, problems, zip_encoding=options.zip_encoding)
    named = options.columns
    labelled = read_parts(parts, named, problems, store=store, parents=parents)
    labelled = without_test(labelled, problems)
    levels = find_levels(root, labelled, problems)
    return list_rows(labelled, levels, store, problems, table=parts[0].file.name)
