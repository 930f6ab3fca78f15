"""Claims about tables that cannot be read as they are: what is said, and the way out."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hierclf.data.columns import parse_columns
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import SUPERS, TREE, red_values, tree, write_csv
from tests.named_tables import (
    ENDINGS,
    IMAGES,
    NAMES,
    SUB,
    SUPER,
    check_is_the_usual_set,
    fatal,
    table,
)


def test_columns_that_cannot_be_told_are_named_with_the_option(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", {"photo": IMAGES, "superclass": SUPER, "species": SUB})
    for place in (path, tmp_path):
        (problem,) = fatal(place)
        assert problem.where == "a.csv row 1"
        assert problem.what == (
            "no column is known to hold the image's file or the sub-class; its columns are photo, "
            "superclass, species; name it with --columns image=COLUMN,sub=COLUMN"
        )


def test_two_columns_that_could_be_the_image_are_not_guessed_between(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", NAMES | {"file_name": IMAGES})
    (problem,) = fatal(path)
    assert "'image' and 'file_name' could each be the image's file" in problem.what
    assert "--columns image=image" in problem.what
    check_is_the_usual_set(open_source(str(path), columns="image=file_name"))


def test_a_missing_super_class_is_named_with_both_ways_out(tmp_path: Path) -> None:
    (problem,) = fatal(table(tmp_path / "a.csv", {"image": IMAGES, "label": SUB}))
    assert "to hold the super-class; its columns are image, label" in problem.what
    assert "--columns super=COLUMN, or give each sub-class" in problem.what
    assert "hierarchy.csv" in problem.what


def test_a_given_column_that_is_missing_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", NAMES)
    (problem,) = fatal(path, columns="sub=species")
    assert problem.what.startswith("column 'species' is missing; its columns are image, super")


def test_columns_for_a_folder_without_such_a_table_are_an_error(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", TREE)
    (problem,) = fatal(root, columns="image=photo")
    assert "--columns names the columns of a table, but no table of images is there" in problem.what
    write_csv(root / "a.csv", ("file", "genus"), [("x.png", "bird")])
    write_csv(root / "b.csv", ("photo", "genus"), [("x.png", "bird")])
    problems = fatal(root, columns="image=photo,super=genus,sub=kind")
    assert [(p.where, p.what.split(";")[0]) for p in problems] == [
        ("a.csv row 1", "column 'photo' is missing"),
        ("a.csv row 1", "column 'kind' is missing"),
        ("b.csv row 1", "column 'kind' is missing"),
    ]


@pytest.mark.parametrize(
    "text", ["", "photo", "image=", "image=a,image=b", "genus=a", "image=a,,sub=b", "=a"]
)
def test_columns_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"--columns must be like image=COLUMN.* but got '"):
        parse_columns(text)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_bad_row_is_named_in_one_report(tmp_path: Path, ending: str) -> None:
    columns = {
        "image": ["../0.png", "/etc/../1.png", "", *IMAGES[3:]],
        "superclass": [*SUPER[:3], "", "novel", "dog"],
        "subclass": SUB,
    }
    problems = fatal(table(tmp_path / f"a.{ending}", columns))
    first = {"csv": "row 2", "tsv": "row 2", "jsonl": "line 1", "parquet": "row 0"}[ending]
    assert problems[0].where == f"a.{ending} {first}"
    reasons = [problem.what for problem in problems[:5]]
    assert reasons[0] == "image '../0.png': the path leaves the data folder"
    assert reasons[1].endswith("the path leaves the data folder")
    assert reasons[2] == "the image name is empty"
    assert reasons[3] == "the superclass label is empty"
    assert reasons[4].endswith("is 'novel', which training data must not hold")


def test_a_name_that_no_mapping_holds_is_named_with_the_one_that_is_meant(tmp_path: Path) -> None:
    write_csv(tmp_path / "superclass_mapping.csv", ("index", "class"), SUPERS)
    columns = {name: [*cells, cells[0]] for name, cells in NAMES.items()}
    columns["superclass"][6] = "brid"
    (problem,) = fatal(table(tmp_path / "a.csv", columns))
    assert problem == (
        "a.csv row 8",
        "superclass label 'brid' is not in the mapping; is it 'bird'?",
        True,
    )


def test_images_that_are_not_there_are_said_with_their_rows(tmp_path: Path) -> None:
    columns = {name: [*cells, cells[0]] for name, cells in NAMES.items()}
    columns["image"][6] = "gone.png"
    source = open_source(str(table(tmp_path / "a.jsonl", columns)))
    assert list(source.missing) == [6]
    assert [problem.where for problem in source.problems] == ["a.jsonl line 7"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_an_empty_table_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    (problem,) = fatal(tmp_path / name)
    assert (problem.where, "empty" in problem.what) == (name, True)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_without_rows_is_one_error(tmp_path: Path, ending: str) -> None:
    path = table(tmp_path / f"a.{ending}", {name: pa.array([], pa.string()) for name in NAMES})
    assert [problem.what for problem in fatal(path)] == ["no images at all"]


def test_absolute_paths_are_looked_for_below_the_table_only(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", ["secret.png"])
    columns = {name: [*cells, cells[0]] for name, cells in NAMES.items()}
    columns["image"] = [f"/home/ann/{name}" for name in IMAGES] + [str(outside / "secret.png")]
    source = open_source(str(table(tmp_path / "in" / "a.csv", columns)))
    assert list(source.missing) == [6]
    assert red_values(replace(source, images=source.images[:-1])) == list(range(6))
    said = [problem.what for problem in source.problems]
    assert "7 images are named by absolute paths: the folder was searched" in said[0]


def test_two_tables_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("a.csv", "b.jsonl"):
        table(tmp_path / name, NAMES)
    (problem,) = fatal(tmp_path)
    assert "several tables could name the images (a.csv, b.jsonl)" in problem.what


def test_predictions_in_the_folder_are_no_labels(tmp_path: Path) -> None:
    table(tmp_path / "predictions.csv", NAMES | {"super_score": [0.5] * 6})
    table(tmp_path / "labels.csv", NAMES)
    check_is_the_usual_set(open_source(str(tmp_path)))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "is not a JSON object"),
        ("3", "is JSON, but not an object"),
        ("[" * 100_000, "is not a JSON object"),
        (
            '{"image": ["a"], "superclass": "x", "subclass": "y"}',
            "'image' must be text or a number",
        ),
        ("x" * ((1 << 20) + 1), "is longer than"),
    ],
    ids=["cut", "number", "deep", "nested", "long"],
)
def test_a_bad_line_of_json_is_named(tmp_path: Path, line: str, what: str) -> None:
    path = table(tmp_path / "a.jsonl", NAMES)
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    (problem,) = fatal(path)
    assert problem.where == "a.jsonl line 8"
    assert what in problem.what


def test_a_json_list_is_one_error_with_the_way_out(tmp_path: Path) -> None:
    path = table(tmp_path / "a.jsonl", NAMES)
    path.write_text(f"[\n{path.read_text()}\n]\n")
    (problem,) = fatal(path)
    assert problem.where == "a.jsonl"
    assert "write its objects one a line" in problem.what


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_table_that_is_no_text_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"image,superclass,subclass\n\xff\xfe.png,0,0\n" * 3)
    assert any("UTF-8" in problem.what for problem in fatal(tmp_path / name))


def test_hostile_cells_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    from hierclf.commands.check import format_check

    columns = {name: [*cells, cells[0]] for name, cells in NAMES.items()}
    columns["image"][6], columns["subclass"][6] = "\x1b]0;gone\x07.png", "\x1b[2Jowl"
    source, problems = inspect_source(str(table(tmp_path / "a.jsonl", columns)))
    shown = format_check(source, problems)
    assert "gone" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown
