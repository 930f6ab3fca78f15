"""Claims about tables as people have them: each is read where it can mean one thing only."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.data.csv_tables import parse_integer, read_csv
from hierclf.data.listing import Problem
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import (
    ROWS,
    SUPERS,
    TREE,
    only_fatal,
    parquet,
    png,
    red_values,
    release,
    text_columns,
    tree,
    write_csv,
)

HEADER = ("image", "superclass_index", "subclass_index")


def rewrite(root: Path, *, delimiter: str = ",", above: str = "", encoding: str = "utf-8") -> Path:
    """The same tables with other separators, a line above, or in another encoding."""
    for path in root.glob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.reader(file))
        with path.open("w", newline="", encoding=encoding) as file:
            file.write(above)
            csv.writer(file, delimiter=delimiter).writerows(rows)
    return root


@pytest.mark.parametrize("header", [("", *HEADER), ("Unnamed: 0", *HEADER), HEADER])
@pytest.mark.parametrize("start", [0, 1])
def test_an_index_column_does_not_matter_with_or_without_a_name(
    tmp_path: Path, header: tuple[str, ...], start: int
) -> None:
    rows = [(i + start, *row) for i, row in enumerate(ROWS)]
    source = open_source(str(release(tmp_path, rows, header=header)))
    assert source.images == [row[0] for row in ROWS]
    assert source.problems == []


def test_a_separator_at_the_end_of_each_row_does_not_matter(tmp_path: Path) -> None:
    assert len(open_source(str(release(tmp_path, [(*row, "") for row in ROWS]))).images) == 6


def test_cells_moved_by_a_comma_are_still_named(tmp_path: Path) -> None:
    rows = [(f"a, {row[0]}".split(", ")[0], row[0], *row[1:]) for row in ROWS]
    problems = inspect_source(str(release(tmp_path, rows)))[1]
    assert {problem.what for problem in problems} == {"has 4 cells, but the header has 3"}


@pytest.mark.parametrize(
    "form",
    [
        {"delimiter": ";"},
        {"delimiter": "\t"},
        {"delimiter": "|"},
        {"encoding": "utf-8-sig", "delimiter": ";"},
        {"encoding": "utf-16", "delimiter": "\t"},
        {"encoding": "utf-16", "above": "sep=;\n", "delimiter": ";"},
        {"above": "sep=;\r\n", "delimiter": ";"},
        {"above": "SEP=,\n"},
    ],
    ids=str,
)
def test_separators_and_encodings_of_spreadsheets_are_read(
    tmp_path: Path, form: dict[str, str]
) -> None:
    source = open_source(str(rewrite(release(tmp_path), **form)))
    assert source.images == [row[0] for row in ROWS]
    assert source.hierarchy.sub_names == ("owl, great", "hen", "pug")
    assert source.problems == []


def test_row_numbers_count_the_line_of_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\na;b\n1;2\n3\n")
    problems: list[Problem] = []
    assert read_csv(path, ("b", "a"), problems) == [("t.csv row 3", ["2", "1"])]
    assert [problem.where for problem in problems] == ["t.csv row 4"]


def test_names_of_columns_count_in_any_case(tmp_path: Path) -> None:
    header = ("Image", " SUPERCLASS_INDEX ", "Subclass_Index")
    assert len(open_source(str(release(tmp_path, header=header))).images) == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3.0", 3), ("3.", 3), ("3,0", 3), ("3,00", 3), (" -3.000 ", -3)]
    + [(text, None) for text in ("3,000", "3.5", "3,5", "1e3", "3 000", "", "nan", "3,")],
)
def test_a_whole_number_is_read_in_any_spelling_that_means_one(text: str, value: Any) -> None:
    assert parse_integer(text) == value


def test_another_encoding_is_named_with_the_way_out(tmp_path: Path) -> None:
    root = release(tmp_path, supers=((0, "v\u00f6gel"), *SUPERS[1:]), encoding="cp1252")
    problem = only_fatal(root)
    assert problem.where == "superclass_mapping.csv"
    assert problem.what.endswith("save it as UTF-8")


# --- tables beside class folders -------------------------------------------------------------


def one_table(root: Path, name: str) -> None:
    tables: dict[str, dict[str, Any]] = {
        "embeddings": {"embedding": [1.0]},
        "names": {"image": ["bird/owl/a.png"], "embedding": [1.0]},
        "thumbnails": {"image": [png(1)], "embedding": [1.0]},
    }
    if name in tables:
        pq.write_table(pa.table(tables[name]), root / f"{name}.parquet")
    elif name == "labels":
        write_csv(root / "labels.csv", HEADER, [(image, 0, 0) for image in TREE])
    elif name == "mapping":
        write_csv(root / "superclass_mapping.csv", ("index", "class"), SUPERS)
    else:
        write_csv(root / "metadata.csv", ("file_name", "label"), [("a.png", 1)])


@pytest.mark.parametrize(
    "name", ["metadata", "embeddings", "names", "thumbnails", "labels", "mapping"]
)
def test_a_table_beside_class_folders_does_not_hide_them(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path, TREE)
    one_table(root, name)
    source = open_source(str(root))
    assert len(source.images) == len(TREE)
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    said = [problem.where for problem in source.problems]
    assert said == ([] if name == "mapping" else [next(root.glob(f"{name}.*")).name])


def test_a_release_whose_images_lie_in_class_folders_is_read_by_its_table(tmp_path: Path) -> None:
    names = [f"{'ab'[i % 2]}/c/{i}.png" for i in range(6)]
    root = release(tmp_path, images=names, archive=None)
    assert red_values(open_source(str(root))) == list(range(6))


def test_parquet_files_in_deeper_folders_are_pointed_to(tmp_path: Path) -> None:
    (tmp_path / "default/train").mkdir(parents=True)
    parquet(tmp_path / "default/train/0000.parquet", text_columns())
    fatal = [problem for problem in inspect_source(str(tmp_path))[1] if problem.fatal]
    assert f"is the data set {tmp_path / 'default/train'}, with its Parquet files?" in fatal[0].what


def test_the_ending_of_parquet_files_counts_in_any_case(tmp_path: Path) -> None:
    parquet(tmp_path / "X.PARQUET", text_columns())
    assert len(open_source(str(tmp_path)).images) == 6
