"""Claims about the release layout: CSV, two mapping files and images."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hierclf.data.listing import Problem
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import (
    ROWS,
    SUBS,
    SUPERS,
    Rows,
    fatal,
    only_fatal,
    png,
    red_values,
    release,
    write_csv,
)


def test_a_release_is_read_with_its_ids_and_novel_rows(tmp_path: Path) -> None:
    source = open_source(str(release(tmp_path)))
    known = source.hierarchy
    assert known.super_names == ("bird", "dog")
    assert known.sub_names == ("owl, great", "hen", "pug")
    assert known.sub_to_super == (0, 0, 1)
    assert known.sub_ids == (0, 2, 7)
    assert (known.novel_super_id, known.novel_sub_id) == (5, 3)
    assert source.images == [row[0] for row in ROWS]
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert source.problems == []
    assert red_values(source) == list(range(6))


@pytest.mark.parametrize(
    "layout",
    [
        {"images": [f"{i}.png" for i in range(6)]},
        {"images": [f"a/b/c/{i}.png" for i in range(6)]},
        {"images": [f"x{i % 2}/{i}.png" for i in range(6)], "archive": "pictures.zip"},
        {"images": [f"{i}.png" for i in range(6)], "archive": None},
        {"images": [f"train_images/{i}.png" for i in range(6)], "archive": None},
        {"images": [f"deep/x{i % 3}/{i}.png" for i in range(6)], "archive": None},
        {"encoding": "utf-8-sig"},
        {"table": "labels.csv"},
    ],
)
def test_images_are_found_in_zips_and_folders_of_any_depth(
    tmp_path: Path, layout: dict[str, Any]
) -> None:
    source = open_source(str(release(tmp_path, **layout)))
    assert red_values(source) == list(range(6))
    assert source.problems == []


def test_absolute_paths_of_another_machine_are_found_by_their_ends(tmp_path: Path) -> None:
    names = ["a/0.png", "b/0.png", "b/1.png", "2.png", "3.png", "4.png"]
    paths = [
        *("/kaggle/input/set/a/0.png", "C:\\data\\b\\0.png", "/x/b/1.png", "/2.png"),
        *("/y/train_images/3.png", "/etc/passwd"),
    ]
    rows = [(path, *row[1:]) for path, row in zip(paths, ROWS, strict=True)]
    rows.append(("4.png", 1, 7))
    root = release(tmp_path, rows, images=[*names, "5.png"])
    source = open_source(str(root))
    assert source.images == [*paths, "4.png"]
    assert list(source.missing) == [5]
    assert [source.read(i) for i in range(5)] == [png(i) for i in range(5)]
    assert any("6 images are named by absolute paths" in p.what for p in source.problems)


def test_an_absolute_path_that_fits_several_files_is_missing(tmp_path: Path) -> None:
    rows = [("/x/0.png", 0, 0), *ROWS[1:], ("6.png", 0, 0)]
    images = ["a/0.png", "b/0.png", *(f"{i}.png" for i in range(1, 7))]
    (reason,) = open_source(str(release(tmp_path, rows, images=images))).missing.values()
    assert "could be any of 2 files" in reason


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("0.PNG", "0.png"),  # another case
        ("0", "0.png"),  # no ending
        ("0.jpg", "0.png"),  # another ending
        ("caf\u00e9.png", "cafe\u0301.png"),  # composed, as macOS does not write it
        ("cafe\u0301.png", "caf\u00e9.png"),
    ],
)
@pytest.mark.parametrize("archive", ["train_images.zip", None])
def test_a_name_is_found_whatever_its_case_ending_and_accents(
    tmp_path: Path, written: str, called: str, archive: str | None
) -> None:
    rows = [(written, 0, 0), *ROWS[1:]]
    images = [f"train_images/{name}" for name in (called, *(f"{i}.png" for i in range(1, 6)))]
    source = open_source(str(release(tmp_path, rows, images=images, archive=archive)))
    assert not source.missing
    assert source.images[0] == written
    assert source.read(0) == png(0)


def test_names_that_differ_in_case_only_are_told_apart(tmp_path: Path) -> None:
    images = ["a.png", "A.png", *(f"{i}.png" for i in range(2, 7))]
    rows = [("A.png", 0, 0), ("a.png", 0, 0), *ROWS[2:], ("a.PNG", 0, 0)]
    source = open_source(str(release(tmp_path, rows, images=images)))
    assert [source.read(i) for i in range(2)] == [png(1), png(0)]
    (reason,) = source.missing.values()
    assert "image 'a.PNG' could be any of 2 files" in reason


def test_an_exact_path_wins_over_an_equal_last_part(tmp_path: Path) -> None:
    images = [f"{'ab'[i % 2]}/{i // 2}.png" for i in range(6)]
    rows = [(name, *row[1:]) for name, row in zip(images, ROWS, strict=True)]
    for folder, prefix in (("exact", ""), ("ending", "train/")):
        root = release(tmp_path / folder, rows, images=[prefix + name for name in images])
        assert red_values(open_source(str(root))) == list(range(6))


def test_a_name_that_fits_several_files_is_missing_and_not_guessed(tmp_path: Path) -> None:
    names = ["a/0.png", "b/0.png", *(f"a/{i}.png" for i in range(2, 6)), "a/1.png", "a/6.png"]
    rows = [*ROWS, ("6.png", 0, 0)]
    source = open_source(str(release(tmp_path, rows, images=names)))
    assert list(source.missing) == [0]
    assert "could be any of 2 files" in source.missing[0]


def test_train_images_are_not_mixed_with_test_images_of_the_same_names(tmp_path: Path) -> None:
    rows = [*ROWS, ("6.png", 0, 0)]
    release(tmp_path, rows)
    with zipfile.ZipFile(tmp_path / "test_images.zip", "w") as file:
        for i in range(7):
            file.writestr(f"test_images/{i}.png", png(100 + i))
    write_csv(tmp_path / "test_labels.csv", ("image", "superclass_index", "subclass_index"), ROWS)
    source = open_source(str(tmp_path))
    assert list(source.missing) == [6]
    assert [source.read(i) for i in range(6)] == [png(i) for i in range(6)]


def test_other_columns_and_their_order_do_not_matter(tmp_path: Path) -> None:
    header = ("description", "subclass_index", "image", "superclass_index")
    rows = [("a, b\nc", sub, image, sup) for image, sup, sub in ROWS]
    source = open_source(str(release(tmp_path, rows, header=header)))
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_without_a_novel_row_the_novel_id_is_the_largest_plus_one(tmp_path: Path) -> None:
    root = release(tmp_path, supers=SUPERS[:2], subs=(*SUBS[:2], SUBS[3]))
    known = open_source(str(root)).hierarchy
    assert (known.novel_super_id, known.novel_sub_id) == (2, 8)


def test_the_novel_row_is_found_in_any_case(tmp_path: Path) -> None:
    root = release(tmp_path, supers=((0, "bird"), (1, "dog"), (9, " Novel ")))
    assert open_source(str(root)).hierarchy.novel_super_id == 9


def test_a_class_without_images_is_left_out_and_said(tmp_path: Path) -> None:
    root = release(tmp_path, subs=(*SUBS, (8, "cat")), supers=(*SUPERS, (6, "fish")))
    source = open_source(str(root))
    assert source.hierarchy.n_sub == 3
    assert source.hierarchy.n_super == 2
    assert [(p.where, p.fatal) for p in source.problems] == [
        ("sub-class 'cat' (8)", False),
        ("super-class 'fish' (6)", False),
    ]


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
