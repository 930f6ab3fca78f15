"""The tables of image files and labels in a folder: one, or one for each split."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hierclf.data.columns import SUB, SUPER, find_columns
from hierclf.data.file_names import is_hidden
from hierclf.data.hierarchy_file import HIERARCHY
from hierclf.data.labelled_tables import Part
from hierclf.data.listing import Problem
from hierclf.data.parquet_table import has_images
from hierclf.data.splits import TEST, TRAIN, VAL, split_of
from hierclf.data.table_files import TABLE_ENDINGS, is_table, table_columns

METADATA = tuple(f"metadata{ending}" for ending in TABLE_ENDINGS)
_NO_TABLES_OF_IMAGES = ("superclass_mapping.csv", "subclass_mapping.csv", HIERARCHY)
_OF_PREDICTIONS = "super_score"  # a column of what `hierclf predict` writes


def tables_of(folder: Path) -> list[Path]:
    """The tables directly in a folder, sorted, without mappings, hidden files and image bytes."""
    return sorted(
        file
        for file in folder.iterdir()
        if is_table(file)
        and file.is_file()
        and not is_hidden(file.name)
        and file.name not in _NO_TABLES_OF_IMAGES
        and not (file.suffix.lower() == ".parquet" and has_images(file))
    )


def find_parts(
    root: Path, named: Mapping[str, str], problems: list[Problem], *, needs_super: bool
) -> list[Part]:
    """The tables in a folder whose columns hold the images and their classes.

    Those of split folders (train/metadata.csv), or else metadata.* in the folder itself, or else
    the others: one, or one for each split (train.csv, val.csv).

    Args:
        root: the folder.
        named: columns by role that the user named.
        problems: the list to add to: several tables, of which the user must name one.
        needs_super: False if something else gives the super-class of each sub-class.
    """

    def fits(file: Path) -> bool:
        header = table_columns(file)
        columns = find_columns(header, named, [], where="", needs_super=needs_super)
        if columns is None or _OF_PREDICTIONS in header:
            return False
        ids = {SUPER: "superclass_index", SUB: "subclass_index"}
        # The release layout, whose ids need their mappings.
        return bool(named) or any(columns.get(role) != ids[role] for role in ids)

    if parts := parts_of_splits(root):
        return parts if all(fits(part.file) for part in parts if part.split != TEST) else []
    fitting = [file for file in tables_of(root) if fits(file)]
    fitting = [file for file in fitting if file.name.lower() in METADATA] or fitting
    if len(fitting) < 2:
        return [Part(file) for file in fitting]
    if parts := _one_of_each_split(fitting):
        return parts
    names = ", ".join(file.name for file in fitting)
    what = f"several tables could name the images ({names}); give the right one in place of {root}"
    problems.append(Problem(root.name, what, True))
    return []


def parts_of_splits(root: Path) -> list[Part]:
    """The metadata files of split folders, such as train/metadata.csv, whatever their columns."""
    parts = []
    for folder in sorted(root.iterdir()):
        if folder.is_dir() and not is_hidden(folder.name) and (split := split_of(folder.name)):
            tables = [file for file in tables_of(folder) if file.name.lower() in METADATA]
            parts += [Part(file, f"{folder.name}/", split) for file in tables]
    return parts if TRAIN in {part.split for part in parts} else []


def without_test_parts(parts: Sequence[Part], problems: list[Problem]) -> list[Part]:
    """The tables to train on; splits are kept only where one is for validation."""
    for part in parts:
        if part.split == TEST:
            what = "names test images, for `hierclf evaluate`; left out"
            problems.append(Problem(f"{part.prefix}{part.file.name}", what, False))
    kept = [part for part in parts if part.split != TEST]
    has_val = any(part.split == VAL for part in kept)
    return kept if has_val else [part._replace(split=None) for part in kept]


def _one_of_each_split(tables: Sequence[Path]) -> list[Part]:
    parts = [Part(file, "", split_of(file.stem)) for file in tables]
    splits = {part.split for part in parts}
    return parts if TRAIN in splits and None not in splits else []
