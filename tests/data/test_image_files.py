"""Claims about listing images to predict: every form, the names, the order, unsafe content."""

import random
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierclf.data.image_files import list_images
from hierclf.data.image_list import natural_key

JPEG = b"\xff\xd8\xff\xe0 and so on"


def content(where: Path | str) -> list[tuple[str, bytes]]:
    return [(name, read()) for name, read in list_images(str(where))]


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def write_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name.encode())
    return path


def names_of(where: Path | str) -> list[str]:
    return list(list_images(str(where)).names)


def test_numbers_in_names_count_as_numbers() -> None:
    expected = ["2.jpg", "9.jpg", "010.jpg", "10.jpg", "a2b1.jpg", "a2b10.jpg", "a11.jpg"]
    names = expected.copy()
    random.Random(0).shuffle(names)
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text(max_size=6) | st.integers(0, 10**30).map(str)))
def test_any_names_can_be_ordered_and_integers_are_ordered_as_such(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    integers = [int(name) for name in ordered if name.isascii() and name.isdigit()]
    assert integers == sorted(integers)


def test_a_number_of_any_length_can_be_ordered() -> None:
    long = "1" * 10_000
    assert sorted([long + "0", long], key=natural_key) == [long, long + "0"]


def test_a_folder_is_read_at_any_depth_by_bare_names_in_natural_order(tmp_path: Path) -> None:
    write(tmp_path, "b/10.jpg", "b/c/2.PNG", "1.webp", "notes.txt", ".hidden.jpg")
    assert content(tmp_path) == [
        ("1.webp", b"1.webp"),
        ("2.PNG", b"b/c/2.PNG"),
        ("10.jpg", b"b/10.jpg"),
    ]


def test_paths_are_the_names_where_bare_names_repeat(tmp_path: Path) -> None:
    write(tmp_path / "images", "b/1.jpg", "a/1.jpg", "a/2.jpg")
    assert names_of(tmp_path / "images") == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    pattern = tmp_path / "images" / "*" / "*.jpg"
    assert names_of(pattern) == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    archive = write_zip(tmp_path / "x.zip", "b/1.jpg", "a/1.jpg", "a/2.jpg")
    assert names_of(archive) == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]


def test_a_zip_gives_what_the_folder_gives(tmp_path: Path) -> None:
    names = ("images/10.jpg", "images/9.jpg", "images/deep/1.png")
    write(tmp_path / "loose", *names)
    archive = write_zip(tmp_path / "x.ZIP", *names, "images/notes.txt", "__MACOSX/images/._9.jpg")
    assert content(archive) == content(tmp_path / "loose")
    assert [name for name, _ in content(archive)] == ["1.png", "9.jpg", "10.jpg"]


def test_images_are_told_by_content_and_what_is_none_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name, data in {"a.jfif": JPEG, "b": JPEG, "c.jpg": b"broken", "d.txt": b"text"}.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    for where in (str(folder), str(folder / "*"), str(tmp_path / "x.zip")):
        found = list_images(where)
        assert list(found.names) == ["a.jfif", "b", "c.jpg"]
        assert list(found.left_out) == ["d.txt"]


def test_one_file_may_have_any_ending(tmp_path: Path) -> None:
    write(tmp_path, "photo.bin", "other.jpg")
    assert content(tmp_path / "photo.bin") == [("photo.bin", b"photo.bin")]


def test_a_pattern_gives_the_images_that_it_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a1.jpg", "a10.jpg", "a2.jpg", "b1.jpg", "a.txt", "deep/a3.jpg")
    assert names_of(tmp_path / "a*") == ["a1.jpg", "a2.jpg", "a10.jpg"]
    assert names_of(tmp_path / "**" / "a*.jpg") == ["a1.jpg", "a2.jpg", "a3.jpg", "a10.jpg"]
    monkeypatch.chdir(tmp_path)
    assert content("deep/*.jpg") == [("a3.jpg", b"deep/a3.jpg")]


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "set[1]", "1.jpg")
    assert names_of(tmp_path / "set[1]") == ["1.jpg"]


def test_files_are_read_only_when_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "1.jpg", "2.jpg")
    images = list_images(str(tmp_path))
    (tmp_path / "2.jpg").unlink()
    assert len(images) == 2
    assert images.read(0) == b"1.jpg"
    with pytest.raises(OSError, match=r"2\.jpg"):
        images.read(1)


def test_a_zip_entry_that_points_outside_is_read_and_touches_nothing(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "../../evil.jpg", "/etc/other.jpg")
    before = sorted(tmp_path.rglob("*"))
    assert content(archive) == [("evil.jpg", b"../../evil.jpg"), ("other.jpg", b"/etc/other.jpg")]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_to_files_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "2.jpg", "3.jpg")
    folder = write(tmp_path / "images", "1.jpg")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "4.jpg").symlink_to(tmp_path / "elsewhere" / "3.jpg")
    expected = [("1.jpg", b"1.jpg"), ("2.jpg", b"2.jpg"), ("3.jpg", b"3.jpg"), ("4.jpg", b"3.jpg")]
    assert content(folder) == expected


def test_a_folder_that_a_link_reaches_again_counts_once(tmp_path: Path) -> None:
    folder = write(tmp_path, "run1/1.jpg", "run1/2.jpg")
    (folder / "z").symlink_to(folder / "run1")
    with pytest.warns(UserWarning, match=r"2 images are reached again .*first: 'z/1\.jpg'"):
        assert names_of(folder) == ["1.jpg", "2.jpg"]


def test_a_link_to_nothing_is_listed_as_unreadable(tmp_path: Path) -> None:
    folder = write(tmp_path, "1.jpg")
    (folder / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    images = list_images(str(folder))
    with pytest.raises(ValueError, match="is a link to nothing"):
        images.read(1)


@pytest.mark.parametrize("name", ["t.tar.gz", "t.tbz2", "t.7z", "no_ending"])
def test_another_archive_than_zip_and_tar_is_refused_with_the_way_out(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, "1.jpg")
    with tarfile.open(tmp_path / name, "w") as archive:
        archive.add(tmp_path / "1.jpg", "1.jpg")
    with pytest.raises(ValueError, match=rf"{name} is an archive.*unpack it, or pack it as a .zip"):
        list_images(str(tmp_path / name))


def test_a_zip_of_nothing_but_zips_is_refused_with_the_way_out(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "all.zip", "class1.zip", "notes.txt")
    with pytest.raises(ValueError, match=r"not looked into; unpack it \(first: class1\.zip\)"):
        list_images(str(archive))


def test_a_folder_of_nothing_but_an_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, "images.7z")
    with pytest.raises(ValueError, match=r"images\.7z is an archive"):
        list_images(str(tmp_path))


def test_files_above_the_size_limit_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_zip(tmp_path / "x.zip", "123456789.jpg")
    write(tmp_path, "123456789.jpg")
    monkeypatch.setattr("hierclf.data.zip_files.MAX_FILE_BYTES", 8)
    for where in (archive, tmp_path):
        with pytest.raises(ValueError, match="more than the limit of 8"):
            list_images(str(where)).read(0)


def test_a_damaged_zip_entry_fails_alone(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "x.zip", "1.jpg", "2.jpg")
    archive.write_bytes(archive.read_bytes().replace(b"1.jpg1.jpg", b"1.jpg?.jpg"))
    images = list_images(str(archive))
    with pytest.raises(ValueError, match=r"cannot be read from x\.zip: Bad CRC"):
        images.read(0)
    assert images.read(1) == b"2.jpg"


def test_parquet_keeps_its_rows_and_their_names(tmp_path: Path) -> None:
    table = pa.table({"image": [b"x", b"y", b"z"], "path": ["10.jpg", "9.jpg", "1.jpg"]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    expected = [("10.jpg", b"x"), ("9.jpg", b"y"), ("1.jpg", b"z")]
    assert content(tmp_path / "x.parquet") == expected
    assert content(tmp_path) == expected


@pytest.mark.parametrize("names", [None, ["a", "a"], ["a", None]])
def test_row_numbers_name_the_images_of_parquet_without_good_names(
    tmp_path: Path, names: list[str | None] | None
) -> None:
    columns = {"image": [{"bytes": b"x"}, {"bytes": b"y"}]}
    table = pa.table(columns | ({} if names is None else {"id": names}))
    pq.write_table(table, tmp_path / "x.parquet")
    assert content(tmp_path / "x.parquet") == [("0", b"x"), ("1", b"y")]


def test_a_row_without_bytes_fails_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"x", None]}), tmp_path / "x.parquet")
    images = list_images(str(tmp_path / "x.parquet"))
    assert images.read(0) == b"x"
    with pytest.raises(ValueError, match="holds no image bytes"):
        images.read(1)


def test_what_cannot_be_listed_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, "broken.zip", "broken.parquet", "none/notes.txt")
    write_zip(tmp_path / "empty.zip")
    (tmp_path / "zips").mkdir()
    write_zip(tmp_path / "zips" / "a.zip")
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "text.parquet")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("1.jpg", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("1.jpg", b"y")
    reasons = {
        "nothing": "no file, folder or pattern",
        "nothing*.jpg": "must hold at least one image",
        "broken.zip": "must be a zip file",
        "empty.zip": "must hold at least one image",
        "twice.zip": "holds '1.jpg' twice",
        "zips": "holds only zips; name one",
        "none": "must hold at least one image",
        "broken.parquet": "cannot be read as Parquet",
        "text.parquet": "a column of image bytes is missing",
    }
    for name, reason in reasons.items():
        with pytest.raises(ValueError, match=r".") as caught:
            list_images(str(tmp_path / name))
        assert reason in str(caught.value), name
        assert name in str(caught.value), name
        assert "\n" not in str(caught.value), name
