"""The release layout: a CSV of images and label ids, two mapping CSVs, images in zips or loose."""

from pathlib import Path

from hierclf.data.classes import ClassLevel
from hierclf.data.columns import IMAGE, SUB, SUPER
from hierclf.data.csv_tables import read_header, read_mapping
from hierclf.data.file_names import is_hidden
from hierclf.data.hierarchy_file import HIERARCHY
from hierclf.data.image_store import ImageStore
from hierclf.data.labelled_tables import Part, list_rows, read_parts
from hierclf.data.listing import Listing, Problem
from hierclf.data.splits import without_test

COLUMNS = ("image", "superclass_index", "subclass_index")
PREFERRED_CSV = "train_data.csv"
SUPER_MAPPING, SUB_MAPPING = "superclass_mapping.csv", "subclass_mapping.csv"


def list_release(
    root: Path, problems: list[Problem], *, zip_encoding: str | None = None
) -> Listing | None:
    """Read the table and the mappings, and find each image."""
    mappings = [read_mapping(root / name, problems) for name in (SUPER_MAPPING, SUB_MAPPING)]
    table = _choose_csv(root, problems)
    if table is None or not all(mapping.names for mapping in mappings):
        return None
    store = ImageStore(root, problems, zip_encoding=zip_encoding)
    named = dict(zip((IMAGE, SUPER, SUB), COLUMNS, strict=True))
    labelled = without_test(read_parts([Part(table)], named, problems, store=store), problems)
    levels = [ClassLevel(mapping, by_name=False) for mapping in mappings]
    return list_rows(labelled, levels, store, problems, table=table.name)


def has_table(root: Path) -> bool:
    """Whether a folder has a CSV of images and labels."""
    return (root / PREFERRED_CSV).is_file() or bool(_fitting(csv_files(root)))


def has_mapping(root: Path) -> bool:
    """Whether a folder has a mapping file; one may also lie beside Parquet files."""
    return (root / SUPER_MAPPING).exists() or (root / SUB_MAPPING).exists()


def csv_files(root: Path) -> list[Path]:
    """The CSV files of a folder, sorted, without mappings and hidden files."""
    mappings = (SUPER_MAPPING, SUB_MAPPING, HIERARCHY)
    files = (file for file in root.glob("*.csv") if not is_hidden(file.name))
    return sorted(file for file in files if file.name not in mappings)


def _fitting(tables: list[Path]) -> list[Path]:
    return [file for file in tables if set(COLUMNS) <= set(read_header(file))]


def _choose_csv(root: Path, problems: list[Problem]) -> Path | None:
    """The CSV of images and labels: train_data.csv, or the only one with its columns."""
    if (root / PREFERRED_CSV).is_file():
        return root / PREFERRED_CSV
    tables = csv_files(root)
    fitting = _fitting(tables)
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        names = ", ".join(file.name for file in fitting)
        what = f"several CSVs could name the images ({names}); rename the right one {PREFERRED_CSV}"
    elif len(tables) == 1:
        return tables[0]  # its reader reports the missing column
    else:
        what = f"no CSV has the columns {', '.join(COLUMNS)}"
    problems.append(Problem(root.name, what, True))
    return None
