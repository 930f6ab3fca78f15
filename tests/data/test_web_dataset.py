"""Claims about WebDataset's shards: tars of samples, an image and its labels each."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hierclf.data.image_files import list_images
from hierclf.data.layouts import TableOptions
from hierclf.data.sources import absolute, inspect_source, open_source
from hierclf.data.truth import read_truth
from tests.layouts import SUBS, SUPERS, png, red_values, write_csv

CLASSES = [("bird", "owl")] * 2 + [("bird", "hen")] * 2 + [("dog", "pug")] * 2
NAMED = [{"superclass": a, "subclass": b} for a, b in CLASSES]
Sample = Mapping[str, bytes]


def shard(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def samples(path: Path, labels: Sequence[object] = NAMED, ending: str = "json") -> Path:
    """A shard; image i is `png(i)`, and its labels are an object or a text."""
    files = []
    for i, label in enumerate(labels):
        text = label if isinstance(label, str) else json.dumps(label)
        files += [(f"{i:03d}.png", png(i)), (f"{i:03d}.{ending}", text.encode())]
    return shard(path, files)


def problems_of(path: object, **options: Any) -> list[str]:
    source, problems = inspect_source(str(path), **options)
    assert source is None
    return [f"{problem.where}: {problem.what}" for problem in problems if problem.fatal]


def test_what_webdataset_writes_is_read(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    for number in range(2):
        with webdataset.TarWriter(str(tmp_path / f"{number}.tar")) as writer:
            for i, label in enumerate(NAMED):
                writer.write({"__key__": f"a/{i}", "image.png": png(i), "json": label})
    source = open_source(str(tmp_path))
    assert source.images[:2] == ["0.tar/a/0.image.png", "0.tar/a/1.image.png"]
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.sub_labels.tolist() == [1, 1, 0, 0, 2, 2] * 2
    assert red_values(source) == [*range(6)] * 2
    assert not source.problems


def test_one_tar_names_its_images_as_they_are_in_it(tmp_path: Path) -> None:
    source = open_source(str(samples(tmp_path / "a.tar")))
    assert source.images == [f"{i:03d}.png" for i in range(6)]
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert red_values(source) == [*range(6)]


def test_ids_are_named_by_mapping_files_beside_the_tars(tmp_path: Path) -> None:
    write_csv(tmp_path / "superclass_mapping.csv", ("index", "class"), SUPERS)
    write_csv(tmp_path / "subclass_mapping.csv", ("index", "class"), SUBS)
    ids = [(0, 0)] * 2 + [(0, 2)] * 2 + [(1, 7)] * 2
    samples(tmp_path / "a.tar", [{"superclass_index": a, "subclass_index": b} for a, b in ids])
    source = open_source(str(tmp_path))
    assert source.hierarchy.sub_names == ("owl, great", "hen", "pug")
    assert source.hierarchy.novel_sub_id == 3


def test_ids_without_a_mapping_are_their_own_names(tmp_path: Path) -> None:
    labels = [{"coarse_label": a, "fine_label": b} for a, b in ((0, 4), (0, 4), (1, 3), (1, 3))]
    source = open_source(str(samples(tmp_path / "a.tar", labels)))
    assert source.hierarchy.sub_names == ("3", "4")


@pytest.mark.parametrize("ending", ["cls", "subclass", "sub.txt", "class.cls", "label.txt"])
def test_a_label_of_its_own_file_takes_its_super_class_from_a_hierarchy(
    tmp_path: Path, ending: str
) -> None:
    rows = [("owl", "bird"), ("hen", "bird"), ("pug", "dog")]
    write_csv(tmp_path / "hierarchy.csv", ("sub", "super"), rows)
    path = samples(tmp_path / "a.tar", [f"{sub}\n" for _, sub in CLASSES], ending)
    source = open_source(str(path))
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.super_labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_labels_of_both_levels_may_be_files_of_their_own(tmp_path: Path) -> None:
    files = []
    for i, (super_name, sub) in enumerate(CLASSES):
        files += [(f"{i}.superclass.txt", super_name.encode()), (f"{i}.subclass", sub.encode())]
    # Not beside their labels: a tar that was packed by folders or by endings.
    files += [(f"{i}.png", png(i)) for i in range(6)]
    source = open_source(str(shard(tmp_path / "a.tar", files)))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert red_values(source) == [*range(6)]


def test_columns_are_named_for_keys_and_for_the_image(tmp_path: Path) -> None:
    files = []
    for i, (genus, species) in enumerate(CLASSES):
        label = json.dumps({"Genus": genus, "Species": species, "label": 7})
        files += [(f"{i}.png", png(i)), (f"{i}.jpg", png(9)), (f"{i}.json", label.encode())]
    path = shard(tmp_path / "a.tar", files)
    source = open_source(str(path), columns="image=png,super=genus,sub=species")
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert red_values(source) == [*range(6)]
    found = problems_of(path, columns="super=genus,sub=race")
    assert found == [
        "a.tar: column 'race' is missing; its columns are genus, species, label, image"
    ]
    _, problems = inspect_source(str(path), columns="super=genus,sub=species")
    what = "the sample has several images (jpg, png); name one with --columns image=png"
    assert ("a.tar sample '0'", what) in {(problem.where, problem.what) for problem in problems}


def test_names_of_tars_and_of_folders_are_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        samples(tmp_path / "names" / f"pets-{split}-000001.tar")
        samples(tmp_path / "folders" / split / "0.tar")
    for form in ("names", "folders"):
        source = open_source(str(tmp_path / form))
        assert source.is_val is not None
        assert source.is_val.tolist() == [False] * 6 + [True] * 6
        assert len(set(source.images)) == 12
        assert ["6 test images" in problem.what for problem in source.problems] == [True]
        test, _ = read_truth(tmp_path / form, [], TableOptions())
        assert [image.labels for image in test] == CLASSES
    assert source.images[0] == "train/0.tar/000.png"


def test_train_beside_test_alone_is_no_split(tmp_path: Path) -> None:
    for name in ("train-0", "train-1", "test-0"):
        samples(tmp_path / f"{name}.tar")
    source = open_source(str(tmp_path))
    assert source.is_val is None
    assert len(source.images) == 12


def test_a_key_names_the_split_and_the_group(tmp_path: Path) -> None:
    labels: list[object] = [
        {**label, "split": "train" if i % 2 else "val", "group": i} for i, label in enumerate(NAMED)
    ]
    source = open_source(str(samples(tmp_path / "a.tar", labels)))
    assert source.is_val is not None
    assert source.is_val.tolist() == [True, False] * 3
    assert source.groups is not None


@pytest.mark.parametrize(
    ("pattern", "tars"),
    [
        ("x-{00..02}.tar", ["x-00.tar", "x-01.tar", "x-02.tar"]),
        ("x-{9..10}.tar", ["x-9.tar", "x-10.tar"]),
        ("x-{00,02}.tar", ["x-00.tar", "x-02.tar"]),
        ("{a,b}/{1..2}.tar", ["a/1.tar", "a/2.tar", "b/1.tar", "b/2.tar"]),
    ],
)
def test_braces_stand_for_several_tars(tmp_path: Path, pattern: str, tars: list[str]) -> None:
    for name in tars:
        samples(tmp_path / name)
    source = open_source(str(tmp_path / pattern))
    assert list(dict.fromkeys(image.rpartition("/")[0] for image in source.images)) == tars


def test_a_tar_may_have_braces_in_its_name(tmp_path: Path) -> None:
    assert len(open_source(str(samples(tmp_path / "{a,b}.tar"))).images) == 6


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


def test_the_fingerprint_is_that_of_the_labels_and_the_tars(tmp_path: Path) -> None:
    first, second = (samples(tmp_path / name / "a.tar") for name in ("x", "y"))
    before = open_source(str(first)).fingerprint
    assert open_source(str(first)).fingerprint == before
    samples(second, [*NAMED, NAMED[0]])
    assert open_source(str(second)).fingerprint != before


def test_tars_beside_a_table_of_images_stay_archives(tmp_path: Path) -> None:
    samples(tmp_path / "a.tar")
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    rows = [(f"{i}.png", *labels) for i, labels in enumerate(CLASSES)]
    write_csv(tmp_path / "labels.csv", ("image", "super", "sub"), rows)
    source = open_source(str(tmp_path))
    assert source.images == [f"{i}.png" for i in range(6)]
    assert [problem.where for problem in source.problems] == ["a.tar"]


def test_a_pattern_means_the_same_tars_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples(tmp_path / "x-0.tar")
    monkeypatch.chdir(tmp_path)
    assert absolute("x-{0..0}.tar") == str(tmp_path / "x-{0..0}.tar")
    assert absolute("x-0.tar") == str(tmp_path / "x-0.tar")
    assert absolute("demo:3") == "demo:3"
    assert absolute("nothing") == "nothing"


def test_the_images_of_tars_are_predicted_by_the_names_that_labels_have(tmp_path: Path) -> None:
    samples(tmp_path / "one.tar")
    files = list_images(str(tmp_path / "one.tar"))
    truth, _ = read_truth(tmp_path / "one.tar", [], TableOptions())
    assert list(files.names) == [image.image for image in truth]
    assert [files.read(i) for i in range(6)] == [png(i) for i in range(6)]
    assert list(files.left_out) == [f"{i:03d}.json" for i in range(6)]
    samples(tmp_path / "two.tar")
    files = list_images(str(tmp_path))
    truth, _ = read_truth(tmp_path, [], TableOptions())
    assert list(files.names) == [image.image for image in truth]
    assert files.read(7) == png(1)


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
