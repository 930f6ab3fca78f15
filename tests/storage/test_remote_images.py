"""Claims about images that are read where they are in a bucket: they are those of a copy."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hierclf.data.image_files import list_images
from hierclf.data.remote_images import list_images_in_place
from hierclf.storage.remote_reader import UnreachableError
from tests.layouts import png
from tests.storage.bucket_server import Bucket

# Bare names repeat, one image has no ending, and one file is no image.
FOLDER = {
    **{f"one/{name}": png(i) for i, name in enumerate(["10.png", "9.png", "deep/9.png", "plain"])},
    "one/table.csv": b"a,b\n",
    "one/.hidden.png": png(7),
}


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for i, name in enumerate(names):
            archive.writestr(name, png(i))
    return file.getvalue()


def tarred(*names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for i, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = len(png(i))
            archive.addfile(info, io.BytesIO(png(i)))
    return file.getvalue()


def in_parquet(first: int, count: int) -> bytes:
    file = io.BytesIO()
    images = [png(first + i) for i in range(count)]
    names = [f"{first + i}.png" for i in range(count)]
    pq.write_table(pa.table({"image": images, "path": names}), file, row_group_size=2)
    return file.getvalue()


LAYOUTS = {
    "folder": (FOLDER, "one"),
    "bare names": ({"one/b/10.png": png(1), "one/2.png": png(2)}, "one"),
    "file": ({"one/a.png": png(1), "one/b.png": png(2)}, "one/b.png"),
    "pattern": (FOLDER, "one/*.png"),
    "pattern at any depth": (FOLDER, "one/**/9.*"),
    "pattern of folders": (FOLDER, "one/d*/*"),
    "zip": ({"a.zip": zipped("x/10.png", "x/9.png", "notes.txt", "y")}, "a.zip"),
    "tar": ({"a.tar": tarred("10.png", "9.png", "9.json")}, "a.tar"),
    "tars": (
        {f"set/{i}.tar": tarred("7.png", f"{i}.png") for i in (10, 9)} | {"set/x/7.tar": b"no"},
        "set",
    ),
    "tars of a split": ({"set/train/1.tar": tarred("a.png"), "set/more/2.tar": b"no"}, "set"),
    "parquet": ({"a.parquet": in_parquet(0, 5)}, "a.parquet"),
    "parquet files": ({f"set/{i}.parquet": in_parquet(i, 3) for i in (20, 3)}, "set"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_they_have_names_order_and_bytes_of_a_copy_and_none_is_made(
    bucket: Bucket, tmp_path: Path, layout: str
) -> None:
    files, where = LAYOUTS[layout]
    bucket.put(files)
    found = list_images_in_place(f"s3://bucket/{where}")
    assert not (tmp_path / "cache").exists()
    copied = list_images(f"s3://bucket/{where}")
    assert list(found.names) == list(copied.names)
    assert list(found.left_out) == list(copied.left_out)
    content = [copied.read(i) for i in range(len(copied))]
    assert [found.read(i) for i in range(len(found))] == content
    # In another process, by places alone.
    places, read_at = pickle.loads(pickle.dumps((found.places, found.read_at)))
    assert [read_at(place) for place in places] == content


@pytest.mark.parametrize("layout", ["folder", "zip", "tars", "parquet files"])
def test_places_on_this_machine_are_read_in_another_process(tmp_path: Path, layout: str) -> None:
    files, where = LAYOUTS[layout]
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = list_images_in_place(str(tmp_path / where))
    places, read_at = pickle.loads(pickle.dumps((found.places, found.read_at)))
    assert [read_at(place) for place in places] == [found.read(i) for i in range(len(found))]


@pytest.mark.parametrize("layout", ["folder", "zip", "tar", "parquet"])
def test_a_bucket_that_is_away_is_no_fault_of_an_image(bucket: Bucket, layout: str) -> None:
    files, where = LAYOUTS[layout]
    bucket.put(files)
    read_at = pickle.dumps((found := list_images_in_place(f"s3://bucket/{where}")).read_at)
    bucket.proxy.fault = lambda method, path: "403"
    with pytest.raises(UnreachableError, match="ACCESS_DENIED"):
        pickle.loads(read_at)(found.places[0])


def test_an_image_that_has_changed_since_is_not_taken_for_the_one_that_was_listed(
    bucket: Bucket,
) -> None:
    bucket.put({"one/a.png": png(1)})
    found = list_images_in_place("s3://bucket/one")
    bucket.put({"one/a.png": png(1) + b"more"})
    with pytest.raises(UnreachableError, match=r"one/a\.png: it has changed since it was listed"):
        found.read(0)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nothing", "s3://bucket/nothing: no such file or folder"),
        ("set", "s3://bucket/set must hold at least one image"),
        ("bad.zip", "s3://bucket/bad.zip must be a zip file, but it cannot be read"),
        ("tars", "s3://bucket/tars/1.tar must be a tar file, but it "),
        ("bad.parquet", "s3://bucket/bad.parquet: cannot be read as Parquet"),
    ],
)
def test_what_holds_no_images_is_one_line(bucket: Bucket, where: str, words: str) -> None:
    bad = {"bad.zip": b"no", "tars/1.tar": b"no" * 600, "bad.parquet": b"no", "set/a.csv": b"a"}
    bucket.put(bad)
    with pytest.raises(ValueError, match=words) as refused:
        list_images_in_place(f"s3://bucket/{where}")
    assert "\n" not in str(refused.value)


def test_only_parts_of_a_parquet_file_and_headers_of_a_tar_are_read(bucket: Bucket) -> None:
    large = {"image": [bytes(200_000)] * 20, "path": [str(i) for i in range(20)]}
    file = io.BytesIO()
    pq.write_table(pa.table(large), file, row_group_size=1, compression=None, use_dictionary=False)
    bucket.put({"a.parquet": file.getvalue()})
    found = list_images_in_place("s3://bucket/a.parquet")
    bucket.proxy.sent = 0
    found.read(3)
    assert 200_000 < bucket.proxy.sent < 1_500_000
