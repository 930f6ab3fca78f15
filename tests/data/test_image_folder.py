"""Claims about Hugging Face's imagefolder: images beside a metadata file, also below splits."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.data.listing import Problem
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import red_values, tree, write_csv

CLASSES = (("bird", "owl"), ("bird", "hen"), ("dog", "pug"))
ENDINGS = ["csv", "jsonl", "parquet"]


def metadata(folder: Path, ending: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"metadata.{ending}"
    match ending:
        case "csv":
            write_csv(path, list(rows[0]), [list(row.values()) for row in rows])
        case "jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case _:
            pq.write_table(pa.Table.from_pylist(rows), path)


def rows_of(count: int, *, start: int = 0, folder: str = "") -> list[dict[str, Any]]:
    return [
        {"file_name": f"{folder}{start + i}.png", "superclass": parent, "subclass": sub}
        for i, (parent, sub) in enumerate(pair for pair in CLASSES for _ in range(count))
    ]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("folder", ["", "images/", "a/b/"])
def test_images_beside_or_below_their_metadata_are_read(
    tmp_path: Path, ending: str, folder: str
) -> None:
    rows = rows_of(2, folder=folder)
    tree(tmp_path, [row["file_name"] for row in rows])
    metadata(tmp_path, ending, rows)
    source = open_source(str(tmp_path))
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert red_values(source) == list(range(6))
    assert source.problems == []


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("folder", ["", "images/x/"])
def test_split_folders_are_honoured(tmp_path: Path, ending: str, folder: str) -> None:
    train, val = rows_of(2, folder=folder), rows_of(1, folder=folder)  # the same names in both
    tree(tmp_path, [f"train/{row['file_name']}" for row in train])
    tree(tmp_path, [f"validation/{row['file_name']}" for row in val])
    metadata(tmp_path / "train", ending, train)
    metadata(tmp_path / "validation", ending, val)
    metadata(tmp_path / "test", ending, [{"file_name": "0.png"}])
    source, problems = inspect_source(str(tmp_path))
    assert source is not None, problems
    assert source.is_val is not None
    assert source.is_val.tolist() == [False] * 6 + [True] * 3
    assert source.images[6] == f"validation/{val[0]['file_name']}"
    assert red_values(source) == [*range(6), *range(3)]
    what = "names test images, for `hierclf evaluate`; left out"
    assert source.problems == [Problem(f"test/metadata.{ending}", what, False)]


def test_train_beside_test_alone_leaves_the_split_to_the_run(tmp_path: Path) -> None:
    rows = rows_of(2)
    tree(tmp_path / "train", [row["file_name"] for row in rows])
    metadata(tmp_path / "train", "csv", rows)
    metadata(tmp_path / "test", "csv", rows)
    assert open_source(str(tmp_path)).is_val is None


def test_metadata_with_one_label_takes_the_super_classes_from_a_hierarchy(tmp_path: Path) -> None:
    rows = [{"file_name": row["file_name"], "label": row["subclass"]} for row in rows_of(2)]
    tree(tmp_path, [f"train/{row['file_name']}" for row in rows])
    metadata(tmp_path / "train", "jsonl", rows)
    write_csv(tmp_path / "hierarchy.csv", ("super", "sub"), CLASSES)
    source = open_source(str(tmp_path))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]


def test_problems_of_all_splits_are_one_report_with_their_files(tmp_path: Path) -> None:
    train, val = rows_of(2), rows_of(1)
    tree(tmp_path, [f"train/{row['file_name']}" for row in train])
    train[1]["file_name"] = "../val/0.png"
    val[2]["subclass"] = ""
    metadata(tmp_path / "train", "csv", train)
    metadata(tmp_path / "val", "csv", val)
    source, problems = inspect_source(str(tmp_path))
    assert source is None
    found = [(p.where, p.what) for p in problems]
    assert found[0] == (
        "train/metadata.csv row 3",
        "image '../val/0.png': the path leaves the data folder",
    )
    assert found[1] == ("val/metadata.csv row 4", "the subclass label is empty")


def test_metadata_without_labels_is_named_with_the_option(tmp_path: Path) -> None:
    rows = [{"file_name": row["file_name"], "text": "a bird"} for row in rows_of(2)]
    tree(tmp_path, [row["file_name"] for row in rows])
    metadata(tmp_path, "csv", rows)
    _, problems = inspect_source(str(tmp_path))
    (problem,) = [problem for problem in problems if problem.fatal]
    assert problem.where == "metadata.csv row 1"
    assert "name it with --columns super=COLUMN,sub=COLUMN" in problem.what


def test_metadata_of_splits_without_labels_is_named(tmp_path: Path) -> None:
    tree(tmp_path, ["train/0.png", "train/1.png"])
    metadata(tmp_path / "train", "csv", [{"file_name": "0.png", "text": "x"}])
    _, problems = inspect_source(str(tmp_path))
    first = next(problem for problem in problems if problem.fatal)
    assert first.where == "train/metadata.csv row 1"
    assert "--columns super=COLUMN,sub=COLUMN" in first.what
