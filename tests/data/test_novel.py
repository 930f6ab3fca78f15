"""Claims about a user's own novel images: how each format labels them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from hierclf.data.novel import UNLABELLED, NovelSource, open_novel
from hierclf.hierarchy import NOVEL, Hierarchy
from tests.layouts import parquet, png, tree, write_csv

KNOWN = Hierarchy(
    super_names=("bird", "dog"),
    sub_names=("owl", "hen", "pug"),
    sub_to_super=(0, 0, 1),
    super_ids=(0, 4),
    sub_ids=(0, 2, 7),
    novel_super_id=5,
    novel_sub_id=9,
)


def opened(path: Path) -> NovelSource:
    return open_novel(str(path), KNOWN, height=4, width=4)


def labels(novel: NovelSource) -> dict[str, tuple[int, str]]:
    """Super-label and name of the class by image; all sub-labels must be NOVEL."""
    source = novel.source
    assert (source.sub_labels == NOVEL).all()
    names = [novel.class_names[i] for i in novel.classes]
    pairs = zip(source.super_labels.tolist(), names, strict=True)
    return dict(zip(source.images, pairs, strict=True))


def test_folders_label_at_either_level_or_not_at_all(tmp_path: Path) -> None:
    images = ["a.png", "bird/b.png", "emu/c.png", "bird/emu/d.png", "cat/lynx/e.png"]
    assert labels(opened(tree(tmp_path / "new", images))) == {
        "a.png": (UNLABELLED, "?/?"),
        "bird/b.png": (0, "bird/?"),
        "emu/c.png": (UNLABELLED, "?/emu"),
        "bird/emu/d.png": (0, "bird/emu"),
        "cat/lynx/e.png": (NOVEL, "cat/lynx"),
    }


def test_a_csv_takes_names_or_the_ids_of_the_known_classes(tmp_path: Path) -> None:
    root = tree(tmp_path / "new", [f"{i}.png" for i in range(6)])
    header = ("image", "superclass_index", "subclass", "subclass_index")
    rows = [
        ("0.png", 4, "husky", ""),
        ("1.png", 5, "", 9),
        ("2.png", 77, "Novel", ""),
        ("3.png", "", "", 12),
        ("4.png", "", "", 13),
        ("5.png", "", "", ""),
    ]
    write_csv(root / "labels.csv", header, rows)
    expected = {
        "0.png": (1, "dog/husky"),
        "1.png": (NOVEL, "novel/novel"),
        "2.png": (NOVEL, "77/novel"),
        "3.png": (UNLABELLED, "?/12"),
        "4.png": (UNLABELLED, "?/13"),
        "5.png": (UNLABELLED, "?/?"),
    }
    assert labels(opened(root)) == expected
    assert labels(opened(root / "labels.csv")) == expected


def test_a_csv_of_names_alone_and_parquet_without_labels_are_unlabelled(tmp_path: Path) -> None:
    root = tree(tmp_path / "new", ["0.png", "1.png"])
    write_csv(root / "x.csv", ("image",), [("0.png",), ("1.png",)])
    assert labels(opened(root)) == dict.fromkeys(("0.png", "1.png"), (UNLABELLED, "?/?"))
    table = parquet(tmp_path / "a.parquet", {"image": [png(0), png(1)]})
    assert labels(opened(table)) == dict.fromkeys("01", (UNLABELLED, "?/?"))


def test_parquet_takes_what_label_columns_there_are(tmp_path: Path) -> None:
    columns = {"image": [png(0), png(1)], "superclass": ["bird", "cat"], "subclass": ["emu", None]}
    assert labels(opened(parquet(tmp_path / "a.parquet", columns))) == {
        "0": (0, "bird/emu"),
        "1": (NOVEL, "cat/?"),
    }


def test_images_are_brought_to_the_known_size(tmp_path: Path) -> None:
    novel = open_novel(str(tree(tmp_path / "n", ["a.png"])), KNOWN, height=6, width=9)
    image = novel.source.read(0)
    assert isinstance(image, np.ndarray)
    assert image.shape == (6, 9, 3)


def test_the_fingerprint_changes_with_labels_content_and_size(tmp_path: Path) -> None:
    root = tree(tmp_path / "n", ["bird/emu/a.png", "bird/emu/b.png"])
    prints = {opened(root).source.fingerprint for _ in range(2)}
    prints.add(open_novel(str(root), KNOWN, height=5, width=4).source.fingerprint)
    (root / "bird" / "emu" / "b.png").write_bytes(b"another")
    prints.add(opened(root).source.fingerprint)
    (root / "bird" / "emu").rename(root / "bird" / "rhea")
    prints.add(opened(root).source.fingerprint)
    assert len(prints) == 4


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (
            ["bird/owl/a.png", "x/y/b.png"],
            "1 of 2 are of a known sub-class .*bird/owl/a.png, 'owl'",
        ),
        (["pug/a.png"], "1 of 1 are of a known sub-class"),
        (["notes.txt"], "must hold images, but holds none"),
        (["a/b/c/d.png"], "a/b/c/d.png: lies deeper than super/sub/image"),
    ],
)
def test_what_cannot_be_novel_is_one_line(tmp_path: Path, images: list[str], said: str) -> None:
    root = tree(tmp_path / "new", images)
    root.mkdir(exist_ok=True)
    (root / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=said) as caught:
        opened(root)
    assert "\n" not in str(caught.value)


def test_a_known_name_below_another_super_class_is_another_class(tmp_path: Path) -> None:
    novel = opened(tree(tmp_path / "new", ["toy/pug/a.png"]))
    assert labels(novel) == {"toy/pug/a.png": (NOVEL, "toy/pug")}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("0.png", 7)], "labels.csv row 2, 'pug'"),
        ([("gone.png", 9)], "row 2: image 'gone.png': image 'gone.png' is not in the folder"),
        ([("../0.png", 9)], "row 2: image '../0.png': the path leaves the data folder"),
        ([("0.png", 9), ("0.png", 9)], r"row 3: .* appears again \(first: labels.csv row 2\)"),
        ([], "must hold images, but holds none"),
    ],
)
def test_a_wrong_table_is_one_line(tmp_path: Path, rows: list[tuple[str, int]], said: str) -> None:
    root = tree(tmp_path / "new", ["0.png"])
    write_csv(root / "labels.csv", ("image", "subclass_index"), rows)
    with pytest.raises(ValueError, match=said):
        opened(root)


def test_a_path_that_is_not_there_or_no_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file or folder"):
        opened(tmp_path / "gone")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"must be a folder or a table \(\.csv, \.tsv,"):
        opened(tmp_path / "a.txt")


def test_novel_images_of_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    root = tree(tmp_path / "new", ["toy/pug/a.png"])
    (root / "toy" / "pug" / "b.jp2").write_bytes(b"x")
    problems = opened(root).source.problems
    assert "1 image of a kind that is not read (.jp2)" in next(p.what for p in problems)


def test_json_lines_are_labelled_as_a_csv_is(tmp_path: Path) -> None:
    root = tree(tmp_path / "new", ["0.png"])
    (root / "new.jsonl").write_text('{"image": "0.png", "superclass": "dog", "subclass": null}\n')
    assert labels(opened(root / "new.jsonl")) == {"0.png": (1, "dog/?")}
