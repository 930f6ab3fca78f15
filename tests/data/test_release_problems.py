"""Claims about releases with mistakes: each is named with its row, and none is guessed away."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from hierclf.data.listing import Problem
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import (
    ROWS,
    SUBS,
    Rows,
    fatal,
    only_fatal,
    release,
)


def row_problem(tmp_path: Path, row: Sequence[object]) -> Problem:
    return only_fatal(release(tmp_path, [*ROWS, row], images=[f"{i}.png" for i in range(7)]))


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (("6.png", "", 0), "the superclass label is empty"),
        (("6.png", 0, " "), "the subclass label is empty"),
        (("6.png", 0, "1.5"), "subclass label '1.5' is not an integer"),
        (("6.png", "bird", 0), "superclass label 'bird' is not an integer"),
        (("6.png", 0, "9" * 30), "is not an integer"),
        (("6.png", 4, 0), "superclass label 4 is not in the mapping"),
        (("6.png", 0, 6), "subclass label 6 is not in the mapping"),
        (("6.png", 5, 0), "superclass label 5 is 'novel'"),
        (("6.png", 0, 3), "subclass label 3 is 'novel'"),
        (("", 0, 0), "the image name is empty"),
        (("6.png", 0, 0, "x"), "has 4 cells, but the header has 3"),
        (("6.png", 0), "has 2 cells, but the header has 3"),
        (("6.png", 1, 0), "sub-class 'owl, great' is under super-class 'dog' here, but under"),
        (("./0.png", 0, 2), "has the labels 0, 2 here, but 0, 0 in train_data.csv row 2"),
        (("../6.png", 0, 0), "the path leaves the data folder"),
        (("a/../../6.png", 0, 0), "the path leaves the data folder"),
        (("..\\6.png", 0, 0), "the path leaves the data folder"),
    ],
)
def test_a_bad_row_is_fatal_and_named_by_its_number(
    tmp_path: Path, row: Sequence[object], what: str
) -> None:
    problem = row_problem(tmp_path, row)
    assert problem.where == "train_data.csv row 8"
    assert what in problem.what


def test_all_problems_are_collected_in_one_pass(tmp_path: Path) -> None:
    rows = [*ROWS, ("6.png", "", "x"), ("7.png", 0, 99), ("../8.png", 0, 0), ("9.png", 1, 0)]
    root = release(tmp_path, rows, images=[f"{i}.png" for i in range(7)])
    source, problems = inspect_source(str(root))
    assert source is None
    assert Counter(problem.where for problem in problems) == {
        "train_data.csv row 8": 2,
        "train_data.csv row 9": 1,
        "train_data.csv row 10": 1,
        "train_data.csv row 11": 2,  # missing, and a sub-class under two super-classes
    }
    with pytest.raises(
        ValueError, match=r"row 8: .*is empty \(and 4 more: `hierclf check"
    ) as caught:
        open_source(str(root))
    assert "\n" not in str(caught.value)


def test_a_repeated_row_is_dropped_and_said(tmp_path: Path) -> None:
    rows = [*ROWS, ("0.png", 0, 0), ("train_images/1.png", 0, 0)]
    source = open_source(str(release(tmp_path, rows)))
    assert len(source.images) == 6
    assert [(p.where, p.fatal) for p in source.problems] == [
        ("train_data.csv row 8", False),
        ("train_data.csv row 9", False),
    ]


def test_a_missing_image_is_kept_with_its_reason(tmp_path: Path) -> None:
    source = open_source(str(release(tmp_path, [*ROWS, ("gone.png", 0, 0)])))
    assert source.images[6] == "gone.png"
    assert source.problems == [
        Problem("train_data.csv row 8", "image 'gone.png' is not in the folder or its zips", False)
    ]
    with pytest.raises(ValueError, match=r"image 'gone\.png' is not in the folder"):
        source.read(6)


def test_mostly_missing_images_are_fatal(tmp_path: Path) -> None:
    root = release(tmp_path, images=["0.png", "1.png"])
    assert any("4 of 6 named images cannot be found" in p.what for p in fatal(root))


def test_a_class_of_one_image_is_fatal(tmp_path: Path) -> None:
    problem = only_fatal(release(tmp_path, ROWS[:-1]))
    assert problem.where == "sub-class 'pug' (7)"
    assert problem.what == "every sub-class needs at least 2 images, but it has 1"


def test_a_class_of_one_present_image_is_fatal(tmp_path: Path) -> None:
    problem = only_fatal(release(tmp_path, [*ROWS[:-1], ("gone.png", 1, 7)]))
    assert "at least 2 images" in problem.what


def test_a_single_super_class_is_fatal(tmp_path: Path) -> None:
    assert "the super head needs at least 2" in only_fatal(release(tmp_path, ROWS[:4])).what


def test_an_empty_table_is_fatal(tmp_path: Path) -> None:
    assert "no images at all" in only_fatal(release(tmp_path, [])).what


@pytest.mark.parametrize("column", ["image", "superclass_index", "subclass_index"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    header = [
        n if n != column else "other" for n in ("image", "superclass_index", "subclass_index")
    ]
    problem = fatal(release(tmp_path, header=header))[0]
    assert problem.where == "train_data.csv row 1"
    assert f"column '{column}' is missing" in problem.what


def test_two_possible_tables_are_not_guessed_between(tmp_path: Path) -> None:
    release(tmp_path, table="a.csv")
    (tmp_path / "b.csv").write_bytes((tmp_path / "a.csv").read_bytes())
    assert "several CSVs could name the images (a.csv, b.csv)" in fatal(tmp_path)[0].what


def test_a_csv_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / "train_data.csv").write_bytes(
        b"image,superclass_index,subclass_index\n\xff\xfe.png,0,0\n"
    )
    assert "is not UTF-8" in fatal(root)[0].what


@pytest.mark.parametrize(
    ("subs", "what"),
    [
        ([*SUBS, (7, "cat")], "index 7 appears twice"),
        ([*SUBS, (8, "hen")], "class 'hen' appears twice"),
        ([*SUBS, (8, "NOVEL")], "a second row is named 'novel'"),
        ([*SUBS, ("x", "cat")], "index 'x' is not an integer"),
        ([*SUBS, (8, "")], "the class of index 8 has no name"),
    ],
)
def test_a_bad_mapping_row_is_named(tmp_path: Path, subs: Rows, what: str) -> None:
    problem = only_fatal(release(tmp_path, subs=subs))
    assert problem == Problem("subclass_mapping.csv row 6", what, True)


def test_a_missing_mapping_is_named(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / "superclass_mapping.csv").unlink()
    assert Problem("superclass_mapping.csv", "no such file", True) in fatal(root)
