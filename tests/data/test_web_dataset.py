"""Claims about WebDataset's shards: tars of samples, an image and its labels each."""

import json
from pathlib import Path

import pytest

from hierclf.data.image_files import list_images
from hierclf.data.layouts import TableOptions
from hierclf.data.sources import absolute, inspect_source, open_source
from hierclf.data.truth import read_truth
from tests.layouts import SUBS, SUPERS, png, red_values, write_csv
from tests.shards import CLASSES, NAMED, problems_of, samples, shard


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
