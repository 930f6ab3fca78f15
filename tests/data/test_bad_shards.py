"""Claims about tars that are no whole set of samples: each is named, none is believed."""

import json
import tarfile
from pathlib import Path

import pytest

from hierclf.data.image_files import list_images
from hierclf.data.sources import open_source
from tests.layouts import png, write_csv
from tests.shards import NAMED, problems_of, samples, shard


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("x-{0..3}.tar", "2 shards are not there, of 4 (first: {}/x-2.tar)"),
        ("x-{3..0}.tar", "braces must hold FIRST..LAST, such as {0000..0099}, or names with "),
        ("x-{a}.tar", "braces must hold FIRST..LAST, such as {0000..0099}, or names with "),
        ("x-{0..999999999}.tar", "the pattern names more than 100,000 shards"),
        ("x-{0..999}{0..999}.tar", "the pattern names more than 100,000 shards"),
    ],
)
def test_patterns_that_cannot_be_read_are_named(tmp_path: Path, pattern: str, what: str) -> None:
    for number in range(2):
        samples(tmp_path / f"x-{number}.tar")
    (found,) = problems_of(tmp_path / pattern)
    assert found.startswith(f"{tmp_path / pattern}: {what.replace('{}', str(tmp_path))}")


def test_every_bad_sample_is_named_in_one_report(tmp_path: Path) -> None:
    labels = [*NAMED, "{", "[1]", {"superclass": ["a"]}, {"superclass": "dog"}, "x" * (2**20 + 1)]
    path = samples(tmp_path / "a.tar", labels)
    assert problems_of(path) == [
        "a.tar sample '006': '006.json' is not valid JSON",
        "a.tar sample '007': '007.json' is JSON, but not an object in {}",
        "a.tar sample '008': 'superclass' must be text or a number, but is a list or an object",
        "a.tar sample '009': the subclass label is empty",
        "a.tar sample '010': '010.json' has 1048577 bytes, more than the limit of 1048576 for "
        "labels",
    ]


def test_labels_that_are_no_text_and_unknown_names_are_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "hierarchy.csv", ("sub", "super"), [("owl", "bird"), ("pug", "dog")])
    files = [("0.png", png(0)), ("0.cls", b"owl"), ("1.png", png(1)), ("1.cls", b"\xff\xfe")]
    files += [("2.png", png(2)), ("2.cls", b"pugg"), ("3.png", png(3)), ("3.txt", b"a caption")]
    found = problems_of(shard(tmp_path / "a.tar", files))
    assert "a.tar sample '3': the subclass label is empty" in found
    assert found[:2] == [
        "a.tar sample '1': '1.cls' is not UTF-8 text",
        "a.tar sample '2': sub-class 'pugg' is not in hierarchy.csv; is it 'pug' there?",
    ]


def test_samples_without_an_image_are_left_out_with_a_warning(tmp_path: Path) -> None:
    files = [(f"{i}.png", png(i)) for i in range(6)]
    files += [(f"{i}.json", json.dumps(label).encode()) for i, label in enumerate(NAMED)]
    files += [("6.json", json.dumps(NAMED[0]).encode())]
    source = open_source(str(shard(tmp_path / "a.tar", files)))
    what = "the sample has no image (its endings are json)"
    assert [(p.where, p.what) for p in source.problems] == [("a.tar sample '6'", what)]
    with pytest.raises(ValueError, match="the sample has no image"):
        source.read(6)


def test_images_alone_are_no_samples(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", [(f"dog/pug/{i}.png", png(i)) for i in range(3)])
    (found,) = problems_of(path)
    assert found == (
        "a.tar: its samples hold no labels, such as KEY.json or KEY.cls beside KEY.jpg; unpack it "
        "if its folders are classes"
    )


def test_bad_members_and_tars_are_named(tmp_path: Path) -> None:
    path = samples(tmp_path / "a.tar")
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("9.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("../8.png"))
        tar.addfile(tarfile.TarInfo("000.PNG"))
    (tmp_path / "b.tar").write_bytes(path.read_bytes()[:1500])
    assert problems_of(tmp_path) == [
        "a.tar member '9.png': is a link, which is not followed",
        "a.tar member '../8.png': the path leaves the data folder",
        "a.tar member '000.PNG': is in the tar twice",
        "b.tar: cannot be read as a tar file: it has no end mark after byte 1024; "
        "is it the whole file?",
    ]


def test_a_tar_of_no_samples_has_no_images(tmp_path: Path) -> None:
    assert problems_of(shard(tmp_path / "a.tar", [])) == ["the images: no images at all"]


def test_a_damaged_image_fails_alone(tmp_path: Path) -> None:
    path = samples(tmp_path / "a.tar")
    source = open_source(str(path))
    path.write_bytes(path.read_bytes()[:4000])
    assert source.read(0) == png(0)
    with pytest.raises(ValueError, match=r"a\.tar has become shorter"):
        source.read(5)


def test_tars_that_cannot_be_predicted_are_named(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", [("0.png", png(0)), ("../1.png", png(1))])
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("2.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    files = list_images(str(path))
    assert list(files.names) == ["0.png", "1.png", "2.png"]
    assert files.read(1) == png(1)  # nothing is extracted: its name is only a name
    with pytest.raises(ValueError, match="is a link, which is not followed"):
        files.read(2)
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo("0.png"))
    with pytest.raises(ValueError, match=r"must hold each name once, but holds '0\.png' twice"):
        list_images(str(path))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"a\.tar must be a tar file, but it cannot be read"):
        list_images(str(path))
    with pytest.raises(ValueError, match="must hold at least one image"):
        list_images(str(shard(tmp_path / "b.tar", [("0.json", b"{}")])))
