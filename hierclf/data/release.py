"""The release layout: a CSV of images and label ids, two mapping CSVs, images in zips or loose."""

from pathlib import Path

from hierclf.counts import counted
from hierclf.data.csv_tables import label_ids, read_csv, read_header, read_mapping
from hierclf.data.file_names import LEAVES, is_absolute, is_hidden, leaves
from hierclf.data.grouping import GROUP, SPLIT
from hierclf.data.image_store import Entry, ImageStore
from hierclf.data.listing import Listing, Problem, Row

COLUMNS = ("image", "superclass_index", "subclass_index")
PREFERRED_CSV = "train_data.csv"
SUPER_MAPPING, SUB_MAPPING = "superclass_mapping.csv", "subclass_mapping.csv"


def list_release(
    root: Path, problems: list[Problem], *, zip_encoding: str | None = None
) -> Listing | None:
    """Read the table and the mappings, and find each image."""
    levels = (
        read_mapping(root / SUPER_MAPPING, problems),
        read_mapping(root / SUB_MAPPING, problems),
    )
    table = _choose_csv(root, problems)
    if table is None or not all(level.names for level in levels):
        return None
    store = ImageStore(root, problems, zip_encoding=zip_encoding)
    rows = []
    absolute: list[str] = []
    extra = [column for column in (GROUP, SPLIT) if column in read_header(table)]
    for where, (image, *cells) in read_csv(table, [*COLUMNS, *extra], problems):
        ids = label_ids(where, cells[:2], levels, problems)
        entry = _locate(store, where, image, problems)
        if ids is None or entry is None:
            continue
        if is_absolute(image):
            absolute.append(image)
        missing = entry if isinstance(entry, str) else ""
        key, division = None if missing else entry, dict(zip(extra, cells[2:], strict=True))
        groups = division.get(GROUP), division.get(SPLIT)
        rows.append(Row(where, image, *ids, key, missing, *groups))
    if absolute:
        what = counted(
            len(absolute),
            "image is named by an absolute path: the folder was searched for the path's end",
            "images are named by absolute paths: the folder was searched for the paths' ends",
        )
        what += f" (first: {absolute[0]!r})"
        problems.append(Problem(table.name, what, False))
    return Listing(rows, *levels, read=store.read, stamp=lambda entry: list(entry.stamp))


def has_table(root: Path) -> bool:
    """Whether a folder has a CSV of images and labels."""
    return (root / PREFERRED_CSV).is_file() or bool(_fitting(csv_files(root)))


def has_mapping(root: Path) -> bool:
    """Whether a folder has a mapping file; one may also lie beside Parquet files."""
    return (root / SUPER_MAPPING).exists() or (root / SUB_MAPPING).exists()


def csv_files(root: Path) -> list[Path]:
    """The CSV files of a folder, sorted, without mappings and hidden files."""
    mappings = (SUPER_MAPPING, SUB_MAPPING)
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


def _locate(
    store: ImageStore, where: str, image: str, problems: list[Problem]
) -> Entry | str | None:
    """The file of a CSV row; the reason why it is missing; or None after adding a problem."""
    reason = "the image name is empty" if not image else ""
    entry: Entry | str = ""
    if not reason and leaves(image):
        reason = f"image {image!r}: {LEAVES}"
    elif not reason:
        entry = store.locate(image)
        if isinstance(entry, Entry) and entry.unsafe:
            reason = f"image {image!r}: {entry.unsafe}"
    if reason:
        problems.append(Problem(where, reason, True))
        return None
    return entry
