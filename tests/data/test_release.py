"""Claims about the release layout: CSV, two mapping files and images."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from hierclf.data.sources import open_source
from tests.layouts import (
    ROWS,
    SUBS,
    SUPERS,
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
