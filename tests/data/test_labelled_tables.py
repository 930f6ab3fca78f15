"""Claims about tables of image files and labels, by names or ids, in every format."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.config import Config, load_config
from hierclf.data.columns import parse_columns
from hierclf.data.listing import Problem
from hierclf.data.source import Source
from hierclf.data.sources import inspect_source, open_source
from hierclf.training.prepare import configured_source
from tests.layouts import SUBS, SUPERS, TREE, red_values, tree, write_csv

IMAGES = [f"photos/{i}.png" for i in range(6)]
SUPER = ["bird"] * 4 + ["dog"] * 2
SUB = ["owl", "owl", "hen", "hen", "pug", "pug"]
NAMES = {"image": IMAGES, "superclass": SUPER, "subclass": SUB}


def table(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """The same table in the format of the path's ending, beside six images."""
    tree(path.parent, IMAGES)
    rows = list(zip(*columns.values(), strict=True))
    match path.suffix:
        case ".csv":
            write_csv(path, list(columns), rows)
        case ".tsv":
            lines = ["\t".join(map(str, row)) for row in ([*columns], *rows)]
            path.write_text("\n".join(lines))
        case ".jsonl":
            objects = [dict(zip(columns, row, strict=True)) for row in rows]
            path.write_text("\n".join(map(json.dumps, objects)))
        case _:
            pq.write_table(pa.table({name: list(cells) for name, cells in columns.items()}), path)
    return path


def fatal(path: Path, *, columns: str | None = None) -> list[Problem]:
    source, problems = inspect_source(str(path), columns=columns)
    assert source is None
    return [problem for problem in problems if problem.fatal]


def check_is_the_usual_set(source: Source) -> None:
    known = source.hierarchy
    assert known.super_names == ("bird", "dog")
    assert known.sub_names == ("hen", "owl", "pug")
    assert (known.novel_super_id, known.novel_sub_id) == (2, 3)
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2]
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert red_values(source) == list(range(6))
    assert source.images == IMAGES
    assert source.problems == []


ENDINGS = ["csv", "tsv", "jsonl", "parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("as_folder", [False, True])
def test_a_table_of_names_needs_no_mapping(tmp_path: Path, ending: str, as_folder: bool) -> None:
    path = table(tmp_path / f"labels.{ending}", NAMES)
    check_is_the_usual_set(open_source(str(tmp_path if as_folder else path)))


@pytest.mark.parametrize(
    "header",
    [
        ("file_name", "super", "sub"),
        ("Image Path", "Super-Class", "Sub-Class"),
        ("path", "superclass", "label"),
        ("filename", "coarse_label", "fine_label"),
    ],
)
def test_columns_of_obvious_names_are_recognised(tmp_path: Path, header: Sequence[str]) -> None:
    columns = dict(zip(header, NAMES.values(), strict=True)) | {"camera": ["x"] * 6}
    check_is_the_usual_set(open_source(str(table(tmp_path / "photos.csv", columns).parent)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_columns_of_other_names_are_given(tmp_path: Path, ending: str) -> None:
    columns = {"photo": IMAGES, "Genus": SUPER, "species": SUB}
    path = table(tmp_path / f"labels.{ending}", columns)
    given = "image=photo, super=genus, sub=species"
    check_is_the_usual_set(open_source(str(path), columns=given))
    check_is_the_usual_set(open_source(str(tmp_path), columns=given))


def test_columns_that_are_not_given_are_known_by_name(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", {"image": IMAGES, "superclass": SUPER, "kind": SUB})
    check_is_the_usual_set(open_source(str(path), columns="sub=kind"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_ids_are_their_own_names(tmp_path: Path, ending: str) -> None:
    columns: dict[str, Sequence[Any]]
    columns = {"image": IMAGES, "super": [4, 4, 4, 4, 2, 2], "sub": [10, 10, 9, 9, 3, 3]}
    known = open_source(str(table(tmp_path / f"a.{ending}", columns))).hierarchy
    assert known.super_names == ("2", "4")
    assert known.sub_ids == (3, 9, 10)
    assert (known.novel_super_id, known.novel_sub_id) == (5, 11)


@pytest.mark.parametrize("by_name", [False, True])
def test_mappings_beside_a_table_give_names_and_ids(tmp_path: Path, by_name: bool) -> None:
    write_csv(tmp_path / "superclass_mapping.csv", ("index", "class"), SUPERS)
    write_csv(tmp_path / "subclass_mapping.csv", ("index", "class"), SUBS)
    sub: list[Any] = ["owl, great"] * 2 + ["hen"] * 2 + ["pug"] * 2
    sub = sub if by_name else [0, 0, 2, 2, 7, 7]
    source = open_source(str(table(tmp_path / "a.jsonl", NAMES | {"subclass": sub})))
    assert source.hierarchy.sub_names == ("owl, great", "hen", "pug")
    assert source.hierarchy.sub_ids == (0, 2, 7)
    assert (source.hierarchy.novel_super_id, source.hierarchy.novel_sub_id) == (5, 3)
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_groups_and_validation_images_work_as_in_a_release(tmp_path: Path) -> None:
    columns = {"group": list("abcadc"), "split": ["train", "val"] * 3}
    source = open_source(str(table(tmp_path / "a.tsv", NAMES | columns)))
    assert source.groups is not None
    assert source.groups.tolist() == [0, 1, 2, 0, 3, 2]
    assert source.is_val is not None
    assert source.is_val.tolist() == [False, True] * 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_test_rows_are_left_out_whatever_their_labels(tmp_path: Path, ending: str) -> None:
    columns = NAMES | {"split": ["train"] * 6}
    more = {"image": "t.png", "superclass": "novel", "subclass": "", "split": "test"}
    columns = {name: [*cells, more[name]] for name, cells in columns.items()}
    source = open_source(str(table(tmp_path / f"a.{ending}", columns)))
    assert source.images == IMAGES
    assert source.is_val is None  # train beside test alone: the run divides
    assert [p.what for p in source.problems] == ["1 test image, for `hierclf evaluate`; left out"]


def test_a_table_for_each_split_is_read(tmp_path: Path) -> None:
    for name, rows in (("train", (0, 2, 4)), ("val", (1, 3, 5))):
        table(
            tmp_path / f"{name}.csv",
            {column: [cells[i] for i in rows] for column, cells in NAMES.items()},
        )
    (tmp_path / "test.csv").write_text("image,superclass,subclass\nx.png,?,?\n")
    source, problems = inspect_source(str(tmp_path))
    assert source is not None
    assert source.is_val is not None
    assert dict(zip(source.images, source.is_val.tolist(), strict=True)) == {
        image: i % 2 == 1 for i, image in enumerate(IMAGES)
    }
    assert [p.where for p in problems] == ["test.csv"]


# --- near misses -----------------------------------------------------------------------------


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


def test_a_configuration_names_the_columns_for_a_search(tmp_path: Path) -> None:
    path = table(tmp_path / "labels.jsonl", {"photo": IMAGES, "genus": SUPER, "species": SUB})
    columns = "data.columns=image=photo,super=genus,sub=species"
    config = load_config("demo", [f"data.path={path}", columns])
    check_is_the_usual_set(configured_source(config))
    # A resumed run reads what it stored.
    stored = Config.model_validate(config.model_dump(mode="json"))
    check_is_the_usual_set(configured_source(stored))
