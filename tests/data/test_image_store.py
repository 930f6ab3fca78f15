"""Claims about image files: hostile archives, links and damaged entries."""

import stat
import zipfile
from pathlib import Path

import pytest

from hierclf.data.sources import inspect_source, open_source
from tests.layouts import ROWS, fatal, only_fatal, png, red_values, release


@pytest.mark.parametrize("name", ["../6.png", "a/../../6.png", "/6.png"])
def test_a_zip_entry_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    root = release(tmp_path, images=[*(f"{i}.png" for i in range(6)), name])
    problem = only_fatal(root)
    assert problem.where == f"train_images.zip entry {name!r}"
    assert "leaves the data folder" in problem.what


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    root = release(tmp_path)
    info = zipfile.ZipInfo("6.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(root / "train_images.zip", "a") as file:
        file.writestr(info, "/etc/passwd")
    assert "is a link" in only_fatal(root).what


@pytest.mark.parametrize("link", ["6.png", "sub"])
def test_a_link_out_of_the_folder_is_followed_and_named(tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "6.png").write_bytes(png(6))
    images = [f"train_images/{i}.png" for i in range(6)]
    root = release(tmp_path / "data", [*ROWS, ("6.png", 0, 0)], images=images, archive=None)
    target = tmp_path / "outside" / ("6.png" if link == "6.png" else "")
    (root / "train_images" / link).symlink_to(target)
    source = open_source(str(root))
    assert red_values(source) == [*range(6), 6]
    what = f"1 link leads out of the folder and is followed (first: 'train_images/{link}' to "
    assert what + f"{str(target)!r})" in [problem.what for problem in source.problems]


def test_a_linked_image_folder_is_read(tmp_path: Path) -> None:
    root = release(tmp_path / "data", archive=None)
    (root / "train_images").rename(tmp_path / "elsewhere")
    (root / "train_images").symlink_to(tmp_path / "elsewhere")
    source = open_source(str(root))
    assert red_values(source) == list(range(6))
    assert "out of the folder" in source.problems[0].what


def test_a_folder_and_a_link_to_it_make_no_name_ambiguous(tmp_path: Path) -> None:
    root = release(tmp_path, images=[f"v2/{i}.png" for i in range(6)], archive=None)
    (root / "latest").symlink_to("v2")
    assert red_values(open_source(str(root))) == list(range(6))


def test_a_link_to_nothing_is_a_missing_image(tmp_path: Path) -> None:
    images = [f"{i}.png" for i in range(6)]
    root = release(tmp_path, [*ROWS, ("6.png", 0, 0)], images=images, archive=None)
    (root / "6.png").symlink_to("gone.png")
    source = open_source(str(root))
    assert source.missing == {6: "image '6.png' is a link to nothing that this user can read"}


def test_an_archive_that_is_no_zip_is_named_with_the_way_out(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / "train_images.zip").rename(root / "train_images.tar.gz")
    source, problems = inspect_source(str(root))
    assert source is None
    named = {problem.where: problem.what for problem in problems}
    assert named["train_images.tar.gz"].endswith("unpack it, or pack it as a .zip")


def test_a_link_inside_the_folder_is_fine(tmp_path: Path) -> None:
    images = [f"train_images/{i}.png" for i in range(5)]
    root = release(tmp_path / "data", images=images, archive=None)
    (root / "train_images" / "5.png").symlink_to("4.png")
    assert red_values(open_source(str(root))) == [0, 1, 2, 3, 4, 4]


def test_archives_in_a_zip_are_named(tmp_path: Path) -> None:
    root = release(tmp_path, images=["class1.zip", "more/class2.tar"])
    named = [(problem.where, problem.what) for problem in inspect_source(str(root))[1]]
    what = "2 archives in it are not looked into (first: 'class1.zip'); unpack it"
    assert ("train_images.zip", what) in named


def test_a_file_that_is_no_zip_is_named(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / "train_images.zip").write_bytes(b"PK\3\4 not a zip")
    assert fatal(root)[0].where == "train_images.zip"


def test_a_damaged_zip_entry_fails_alone(tmp_path: Path) -> None:
    root = release(tmp_path)
    path = root / "train_images.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(data)
    source = open_source(str(root))
    with pytest.raises(ValueError, match=r"cannot be read from train_images\.zip"):
        source.read(0)
    assert source.read(1) == png(1)


def test_a_zip_entry_of_absurd_size_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.data.zip_files.MAX_FILE_BYTES", 10)
    source = open_source(str(release(tmp_path)))
    with pytest.raises(ValueError, match="more than the limit of 10"):
        source.read(0)


def test_apple_side_files_do_not_count(tmp_path: Path) -> None:
    names = [f"im/{i}.png" for i in range(6)]
    root = release(tmp_path, images=[*names, "__MACOSX/im/0.png", "im/._1.png", "im/.DS_Store"])
    assert red_values(open_source(str(root))) == list(range(6))
