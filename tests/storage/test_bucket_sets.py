"""Claims about labelled images in a bucket, which moto serves; boto3 puts them there."""

from pathlib import Path
from typing import Any

import pytest

from hierclf.data.image_files import list_images
from hierclf.data.sources import absolute, inspect_source
from tests.commands_run import run
from tests.layouts import parquet, png, release, text_columns, tree
from tests.shards import samples
from tests.storage.bucket_server import BUCKET, Bucket

IMAGES = ["bird/owl/1.png", "bird/owl/2.png", "dog/pug/3.png", "dog/pug/4 %41#.png"]


def upload(bucket: Bucket, folder: Path, prefix: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    bucket.put({f"{prefix}/{path.relative_to(folder)}": path.read_bytes() for path in files})


def read(path: object, **options: Any) -> tuple[Any, list[str]]:
    """Names, labels, classes and bytes of a set, and its problems."""
    source, problems = inspect_source(str(path), **options)
    said = [f"{problem.where}: {problem.what}" for problem in problems]
    if source is None:
        return None, said
    content = [bytes(source.read(i)) for i in range(len(source.images))]
    labels = (source.super_labels.tolist(), source.sub_labels.tolist())
    return (source.images, labels, source.hierarchy, content), said


@pytest.mark.parametrize(
    ("layout", "address"),
    [
        ("tree", "s3://bucket/set"),
        ("release", "s3://bucket/set/"),
        ("parquet", "s3://bucket/set/all.parquet"),
        ("table", "s3://bucket/set/all.csv"),
        ("tar", "s3://bucket/set/a-0.tar"),
        ("shards", "s3://bucket/set/a-{0..1}.tar"),
    ],
)
def test_every_layout_reads_from_a_bucket_as_from_a_folder(
    bucket: Bucket, tmp_path: Path, layout: str, address: str
) -> None:
    local = tmp_path / "set"
    local.mkdir()
    if layout == "tree":
        tree(local, IMAGES)
    elif layout == "release":
        release(local)
    elif layout == "parquet":
        parquet(local / "all.parquet", text_columns())
    elif layout == "table":
        tree(local, ["x/1.png", "x/2.png", "x/3.png", "x/4.png"])
        lines = ["x/1.png,bird,owl", "x/2.png,bird,owl", "x/3.png,dog,pug", "x/4.png,dog,pug"]
        text = "\n".join(["image,superclass,subclass", *lines])
        (local / "all.csv").write_text(text)
    else:
        samples(local / "a-0.tar")
        samples(local / "a-1.tar")
    upload(bucket, local, "set")
    bucket.put({"other/set/bird/owl/9.png": png(9)})
    found, said = read(address)
    expected, _ = read(address.replace("s3://bucket", str(tmp_path)))
    assert said == []
    assert found == expected
    assert absolute(address) == address


def test_files_are_fetched_once_and_again_where_they_have_changed(bucket: Bucket) -> None:
    bucket.put({f"set/{name}": png(i) for i, name in enumerate(IMAGES)})
    first, _ = read("s3://bucket/set")
    assert len(bucket.proxy.fetched()) == 4
    again, _ = read("s3://bucket/set")
    assert len(bucket.proxy.fetched()) == 4
    assert again == first
    bucket.put({"set/bird/owl/1.png": png(77) + b" ", "set/dog/pug/5.png": png(5)})
    bucket.delete("set/dog/pug/3.png")
    (images, _, _, content), _ = read("s3://bucket/set")
    assert sorted(bucket.proxy.fetched()[4:]) == [
        "/bucket/set/bird/owl/1.png",
        "/bucket/set/dog/pug/5.png",
    ]
    assert images == [*IMAGES[:2], IMAGES[3], "dog/pug/5.png"]
    assert content[0] == png(77) + b" "


def test_a_set_has_the_same_fingerprint_on_every_machine(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put({f"set/{name}": png(i) for i, name in enumerate(IMAGES)})
    found = []
    for machine in ("a", "b"):
        monkeypatch.setenv("HIERCLF_CACHE", str(tmp_path / machine))
        source, _ = inspect_source("s3://bucket/set")
        assert source is not None
        found.append(source.fingerprint)
    assert found[0] == found[1]


def test_only_what_a_layout_can_use_is_fetched(bucket: Bucket) -> None:
    others = {"set/notes.docx": b"x", "set/.git/a.png": png(1), "set/dog/pug/0.jp2": b"x"}
    bucket.put(others | {f"set/{name}": png(i) for i, name in enumerate(IMAGES)})
    (images, *_), said = read("s3://bucket/set")
    assert images == IMAGES
    assert len(bucket.proxy.fetched()) == 4
    assert said == [
        "s3://bucket/set: 1 image of a kind that is not read (.jp2) is left out (first: "
        "'dog/pug/0.jp2'); convert to PNG"
    ]


@pytest.mark.parametrize("key", ["set/../../owl.png", "set/a//b.png", "set/..\\b.png"])
def test_a_name_that_leaves_the_folder_is_refused(bucket: Bucket, tmp_path: Path, key: str) -> None:
    bucket.put({key: png(0), "set/bird/owl/1.png": png(1)})
    found, (said,) = read("s3://bucket/set")
    assert found is None
    assert said.startswith("s3://bucket/set: the file ")
    assert "has no place below the folder on this machine" in said
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3://bucket/none", "no such file or folder"),
        ("s3://gone/set", "AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation"),
        ("s3://bucket/set/a-{0..3}.tar", "2 shards are not there, of 4 (first: a-2.tar)"),
        ("s3:///set", "an address must name a bucket, s3://BUCKET, got s3:///set"),
        ("nope://bucket/set", "no store is called nope://; s3, gs, az, hdfs and file are known"),
        ("s3://key:secret@bucket/set", "must not hold a password or key"),
        ("s3://bucket/set?secret_key=abc", "must not hold a password or key"),
        ("gdrive://bucket/set", "gdrive:// needs a package that is not installed: "),
        ("az://bucket/set", "run pip install 'hierclf[azure]'"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_line(
    bucket: Bucket, address: str, says: str
) -> None:
    bucket.put({"set/a-0.tar": b"", "set/a-1.tar": b""})
    found, (said,) = read(address)
    assert found is None
    assert says in said
    assert "\n" not in said
    assert "abc" not in said.replace(address, "")


def test_a_secret_in_an_address_is_not_printed(bucket: Bucket) -> None:
    ended = run("check", "s3://key:hidden@bucket/set", code=1)
    assert "hidden" not in ended.output


def test_a_file_address_is_a_path(tmp_path: Path) -> None:
    tree(tmp_path / "my set", [*IMAGES[:3], "dog/pug/4.png"])
    found, said = read(f"file://{tmp_path}/my%20set")
    assert (found, said) == read(tmp_path / "my set")
    assert found is not None


def test_other_stores_are_read_by_fsspec(bucket: Bucket) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for i, name in enumerate(IMAGES):
        memory.pipe(f"/set/{name}", png(i))
    try:
        (images, _, _, content), said = read("memory://set")
    finally:
        memory.rm("/set", recursive=True)
    assert (images, said) == (IMAGES, [])
    assert content == [png(i) for i in range(4)]


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("s3://bucket/new", ["1.png", "2.png", "10.png"]),
        ("s3://bucket/new/2.png", ["2.png"]),
        ("s3://bucket/new/1*.png", ["1.png"]),
        ("s3://bucket/new/**/1*.png", ["1.png", "10.png"]),
    ],
)
def test_images_to_predict_are_named_as_in_a_folder(
    bucket: Bucket, where: str, names: list[str]
) -> None:
    bucket.put({"new/1.png": png(1), "new/2.png": png(2), "new/deep/10.png": png(10)})
    found = list_images(where)
    assert list(found.names) == names
    assert [found.read(i) for i in range(len(names))] == [
        png(int(name.partition(".")[0])) for name in names
    ]


def test_the_bucket_itself_may_be_the_set(bucket: Bucket) -> None:
    bucket.put({name: png(i) for i, name in enumerate(IMAGES)})
    (images, *_), said = read(f"s3://{BUCKET}")
    assert (images, said) == (IMAGES, [])
