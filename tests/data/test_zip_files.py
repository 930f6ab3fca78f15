"""Claims about zips of other systems: names of other encodings, hidden folders."""

import csv
from pathlib import Path

import pytest

from hierclf.data.image_files import list_images
from hierclf.data.sources import inspect_source, open_source
from tests.layouts import ROWS, png, release, write_raw


def release_with(root: Path, name: str, encoding: str, folder: str = "train_images/") -> Path:
    """A release whose first image has a name that is not ASCII, in a zip of that encoding."""
    names = [name, *(f"1234567{i}.png" for i in range(1, 6))]
    rows = [(n, *row[1:]) for n, row in zip(names, ROWS, strict=True)]
    release(root, rows, archive=None, images=[])
    write_raw(root / "train_images.zip", [(folder + n).encode(encoding) for n in names])
    return root


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("café-ÄÖ.png", "utf-8"),
        ("café-ÄÖ.png", "cp1252"),
        ("café-ÄÖ.png", "cp850"),
        ("写真番号一.png", "gb18030"),
        ("写真番号一.png", "shift_jis"),
        ("ソ連十表予.png", "shift_jis"),  # second bytes that are backslashes
        ("사진하나둘.png", "euc_kr"),
        ("照片編號一.png", "big5"),
        ("фото-один.png", "cp1251"),
        ("фото-один.png", "cp866"),
        ("zdjęcie-żółw.png", "cp852"),
    ],
)
def test_names_without_the_utf8_mark_are_found_by_the_labels(
    tmp_path: Path, name: str, encoding: str
) -> None:
    source = open_source(str(release_with(tmp_path, name, encoding)))
    assert not source.missing
    assert source.images[0] == name
    assert [source.read(i) for i in range(6)] == [png(i) for i in range(6)]


def test_an_encoding_that_is_not_guessed_is_asked_for_and_taken(tmp_path: Path) -> None:
    root = release_with(tmp_path, "ğışİ-foto.png", "cp857")
    missing = inspect_source(str(root))[1][0].what
    assert "1 name has an unknown encoding (set data.zip_encoding)" in missing
    assert not open_source(str(root), zip_encoding="cp857").missing


def test_prediction_reads_such_names_as_utf8_or_as_told(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.zip", ["фото-один.png".encode()])
    assert list_images(str(path)).names == ["фото-один.png"]
    path = write_raw(tmp_path / "b.zip", ["фото-один.png".encode("cp1251")])
    assert list_images(str(path), zip_encoding="cp1251").names == ["фото-один.png"]
    assert list_images(str(path)).names == ["фото-один.png".encode("cp1251").decode("cp437")]


HIDDEN = [
    "train_images/.ipynb_checkpoints/0.png",
    ".thumbnails/0.png",
    "train_images/__MACOSX/0.png",
    "__MACOSX/train_images/._0.png",
    "train_images/._0.png",
    "train_images/@eaDir/0.png",
    "#recycle/train_images/0.png",
    "System Volume Information/0.png",
    "lost+found/0.png",
]


def test_hidden_folders_in_a_zip_are_left_out(tmp_path: Path) -> None:
    images = [f"train_images/{i}.png" for i in range(6)]
    root = release(tmp_path, images=[*images, *HIDDEN])
    source = open_source(str(root))
    assert not source.missing
    assert not source.problems
    found = list_images(str(root / "train_images.zip"))
    assert found.names == [f"{i}.png" for i in range(6)]
    assert list(found.left_out) == []


def test_appledouble_files_beside_a_release_are_left_out(tmp_path: Path) -> None:
    root = release(tmp_path, table="labels.csv", archive="images.zip")
    (root / "._images.zip").write_bytes(b"\0\5\26\7")
    with (root / "._labels.csv").open("w", newline="") as file:
        csv.writer(file).writerow(("image", "superclass_index", "subclass_index"))
    (root / "._part-0.parquet").write_bytes(b"\0\5\26\7")
    source = open_source(str(root))
    assert len(source.images) == 6
    assert not source.problems
