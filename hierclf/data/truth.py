"""Labels of images in any layout, for evaluation: the images themselves are not looked for."""

from pathlib import Path

from hierclf.data.classes import Labelled
from hierclf.data.columns import IMAGE, SUB, SUPER
from hierclf.data.hierarchy_file import HIERARCHY, Parents, hierarchy_file, read_parents
from hierclf.data.labelled_tables import Part, read_parts
from hierclf.data.layouts import TableOptions
from hierclf.data.listing import Problem
from hierclf.data.parquet import has_image_labels, labelled_parquet
from hierclf.data.parquet_table import has_images, parquet_files
from hierclf.data.release import COLUMNS
from hierclf.data.shard_paths import Shard, is_pattern, shards_in, shards_of_pattern
from hierclf.data.splits import TEST, split_of
from hierclf.data.table_files import table_columns
from hierclf.data.table_search import find_parts, tables_of
from hierclf.data.tree import has_class_folders, labelled_tree
from hierclf.data.web_dataset import labelled_shards


def read_truth(
    path: Path, problems: list[Problem], options: TableOptions, known: Parents | None = None
) -> tuple[list[Labelled], bool | None]:
    """The labelled images of a table, a folder with one, or a tree.

    Where some images are of a split named test, only these are returned.

    Args:
        path: a file or a folder.
        problems: the list to add to.
        options: what the user says of tables.
        known: the super-class of each known sub-class, for labels that name sub-classes only.

    Returns:
        The images, and whether their labels are names; None where the labels themselves tell.
    """
    shards = [Shard(path)] if path.suffix.lower() == ".tar" and path.is_file() else []
    if is_pattern(str(path)) and not path.exists():
        if not (shards := shards_of_pattern(str(path), problems)):
            return [], None
    elif not path.exists():
        problems.append(Problem(path.name, "no such file or folder", True))
        return [], None
    file = hierarchy_file(path if path.is_dir() else path.parent, options.hierarchy)
    parents = None if file is None else read_parents(file, problems)
    if known is not None:
        known = known._replace(name=f"{known.name} or {HIERARCHY}")
        parents = known if parents is None else parents.over(known)
    if shards:
        labelled, by_name = labelled_shards(shards, problems, options.columns, parents), None
    elif path.is_dir():
        labelled, by_name = _read_folder(path, problems, options, parents)
    elif path.suffix.lower() == ".parquet" and has_images(path, options.columns.get(IMAGE)):
        labelled, by_name = labelled_parquet(path, problems, options.columns, parents)
    else:
        labelled, by_name = _read_parts([Part(path)], problems, options, parents)
    test = [image for image in labelled if split_of(image.split or "") == TEST]
    return test or labelled, by_name


def _read_folder(
    root: Path, problems: list[Problem], options: TableOptions, parents: Parents | None
) -> tuple[list[Labelled], bool | None]:
    if any(has_image_labels(root, file, options.columns, parents) for file in parquet_files(root)):
        return labelled_parquet(root, problems, options.columns, parents)
    if not tables_of(root) and not has_class_folders(root) and (shards := shards_in(root)):
        return labelled_shards(shards, problems, options.columns, parents), None
    release = [file for file in tables_of(root) if set(COLUMNS) <= set(table_columns(file))]
    found: list[Problem] = []
    parts = find_parts(root, options.columns, found, needs_super=parents is None)
    if not parts and len(release) == 1 and not options.columns:
        parts = [Part(release[0])]
    if parts and (not has_class_folders(root) or options.columns):
        tests = [part for part in parts if part.split == TEST]
        return _read_parts(tests or parts, problems, options, parents)
    if found and not has_class_folders(root):
        problems += found
        return [], None
    return labelled_tree(root, problems, parents), True


def _read_parts(
    parts: list[Part], problems: list[Problem], options: TableOptions, parents: Parents | None
) -> tuple[list[Labelled], bool | None]:
    """The rows of tables; ids of the release's columns go before names of others."""
    named, by_name = dict(options.columns), None
    if not named and all(set(COLUMNS) <= set(table_columns(part.file)) for part in parts):
        named, by_name = dict(zip((IMAGE, SUPER, SUB), COLUMNS, strict=True)), False
    return read_parts(parts, named, problems, parents=parents), by_name
