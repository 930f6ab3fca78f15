"""The demo set: what it holds, that it repeats itself bit by bit, and that it survives the disk."""

import hashlib
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.data.demo import (
    DEMO_HIERARCHY,
    TEST_PER_CLASS,
    TRAIN_PER_CLASS,
    DemoArrays,
    demo_arrays,
    demo_source,
    write_demo,
)
from hierclf.data.images import decode
from hierclf.data.sources import open_source
from hierclf.hierarchy import NOVEL


@pytest.fixture(scope="module")
def train() -> DemoArrays:
    return demo_arrays(3, split="train")


@pytest.fixture(scope="module")
def test_split() -> DemoArrays:
    return demo_arrays(3, split="test")


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, train: DemoArrays, test_split: DemoArrays
) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new"
    drawn = {(3, "train"): train, (3, "test"): test_split}
    with pytest.MonkeyPatch.context() as patch:  # drawing all of it again would take seconds
        patch.setattr("hierclf.data.demo.demo_arrays", lambda seed, *, split: drawn[seed, split])
        write_demo(folder, seed=3)
    return folder


def test_arrays_have_the_documented_shapes_and_types(train: DemoArrays) -> None:
    assert train.images.shape == (1200, 64, 64, 3)
    assert train.images.dtype == np.uint8
    assert train.super_labels.dtype == train.sub_labels.dtype == np.int64
    assert len(train.super_labels) == len(train.sub_labels) == len(train.class_names) == 1200


def test_another_process_draws_the_same_bytes(train: DemoArrays) -> None:
    code = (
        "import hashlib; from hierclf.data.demo import demo_source; read = demo_source(3).read;"
        "print(hashlib.sha256(b''.join(read(i).tobytes() for i in range(0, 1200, 9))).hexdigest())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == hashlib.sha256(train.images[::9].tobytes()).hexdigest()


def test_another_seed_gives_other_pictures_in_another_order() -> None:
    first, other = demo_source(5), demo_source(6)
    assert not np.array_equal(first.read(0), other.read(0))
    assert not np.array_equal(first.sub_labels, other.sub_labels)


def test_train_holds_every_known_sub_class_equally_often_and_no_novel_one(
    train: DemoArrays,
) -> None:
    assert np.bincount(train.sub_labels).tolist() == [TRAIN_PER_CLASS] * 16
    assert np.bincount(train.super_labels).tolist() == [4 * TRAIN_PER_CLASS] * 4


def test_test_split_holds_sixteen_known_four_near_and_five_far_novel_classes(
    test_split: DemoArrays,
) -> None:
    pairs = np.stack([test_split.super_labels, test_split.sub_labels], axis=1)
    rows = Counter(tuple(pair) for pair in pairs.tolist())
    for sub, parent in enumerate(DEMO_HIERARCHY.sub_to_super):
        assert rows.pop((parent, sub)) == TEST_PER_CLASS
    assert rows.pop((NOVEL, NOVEL)) == 5 * TEST_PER_CLASS
    assert rows == {(parent, NOVEL): TEST_PER_CLASS for parent in range(4)}
    names = Counter(test_split.class_names)
    assert len(names) == 25
    assert set(names.values()) == {TEST_PER_CLASS}


def test_class_names_agree_with_the_labels(test_split: DemoArrays) -> None:
    for name, parent, sub in zip(
        test_split.class_names, test_split.super_labels, test_split.sub_labels, strict=True
    ):
        if sub == NOVEL:
            assert name not in DEMO_HIERARCHY.sub_names
        else:
            assert name == DEMO_HIERARCHY.sub_name(int(sub))
        shape = name.split()[0]
        assert shape == ("heart" if parent == NOVEL else DEMO_HIERARCHY.super_name(int(parent)))


def test_hierarchy_is_four_by_four_with_the_novel_ids_amid_the_others() -> None:
    assert DEMO_HIERARCHY.super_names == ("cross", "fish", "leaf", "star")
    assert Counter(DEMO_HIERARCHY.sub_to_super) == {0: 4, 1: 4, 2: 4, 3: 4}
    assert DEMO_HIERARCHY.super_ids == (0, 1, 3, 4)
    assert DEMO_HIERARCHY.novel_super_id == 2
    assert min(DEMO_HIERARCHY.sub_ids) < DEMO_HIERARCHY.novel_sub_id < max(DEMO_HIERARCHY.sub_ids)
    for name, parent in zip(DEMO_HIERARCHY.sub_names, DEMO_HIERARCHY.sub_to_super, strict=True):
        assert name.startswith(DEMO_HIERARCHY.super_names[parent] + " ")


def test_no_picture_repeats_and_pictures_of_a_class_vary(
    train: DemoArrays, test_split: DemoArrays
) -> None:
    everything = [image.tobytes() for image in (*train.images, *test_split.images)]
    assert len(set(everything)) == len(everything)
    for sub in range(DEMO_HIERARCHY.n_sub):
        members = train.images[train.sub_labels == sub].astype(np.float32)
        assert members.std(axis=0).mean() > 20  # grey levels of 255, a pixel across the class
        colours = members.mean(axis=(1, 2))
        assert colours.std(axis=0).min() > 10


def test_mean_colour_says_nothing_about_the_class(train: DemoArrays) -> None:
    colours = train.images.mean(axis=(1, 2))
    centres = np.stack([colours[train.sub_labels == k].mean(axis=0) for k in range(16)])
    distance = ((colours[:, None] - centres) ** 2).sum(axis=2)
    # Chance is 1 in 16; the centres were fitted on these very rows, which favours them.
    assert (distance.argmin(axis=1) == train.sub_labels).mean() < 0.2


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_source_reads_the_same_pictures_in_any_order(
    split: str, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue("train" if split == "train" else "test_split")
    source = demo_source(3, "train" if split == "train" else "test")
    assert source.images[:2] == ["0.png", "1.png"]
    assert len(source.images) == len(data.images)
    np.testing.assert_array_equal(source.super_labels, data.super_labels)
    np.testing.assert_array_equal(source.sub_labels, data.sub_labels)
    for index in (*range(17, len(data.images), 40), 0):
        np.testing.assert_array_equal(source.read(index), data.images[index])


def test_fingerprint_depends_on_seed_and_split_alone() -> None:
    prints = [demo_source(s, p).fingerprint for s in (0, 1) for p in ("train", "test")]
    assert len(set(prints)) == 4
    assert demo_source(0, "train").fingerprint == prints[0]
    assert int(prints[0], 16) >= 0


def test_written_release_layout_opens_again_with_equal_labels_and_pixels(
    written: Path, train: DemoArrays
) -> None:
    source = open_source(str(written))
    assert source.hierarchy == DEMO_HIERARCHY
    by_name = {name: index for index, name in enumerate(source.images)}
    order = [by_name[f"{index}.png"] for index in range(1200)]
    np.testing.assert_array_equal(source.super_labels[order], train.super_labels)
    np.testing.assert_array_equal(source.sub_labels[order], train.sub_labels)
    for index in (0, 1199):
        encoded = source.read(order[index])
        assert isinstance(encoded, bytes)
        np.testing.assert_array_equal(decode(encoded), train.images[index])


def test_written_mappings_name_novel_in_the_middle(written: Path) -> None:
    for level, novel_id, count in (("super", 2, 5), ("sub", 7, 17)):
        table = pd.read_csv(written / f"{level}class_mapping.csv")
        assert table["index"].tolist() == list(range(count))
        assert table["class"][novel_id] == "novel"
        assert (table["class"] == "novel").sum() == 1


def test_written_test_labels_hold_novel_ids(written: Path, test_split: DemoArrays) -> None:
    table = pd.read_csv(written / "test_labels.csv")
    assert table.columns.tolist() == ["image", "superclass_index", "subclass_index"]
    supers, subs = DEMO_HIERARCHY.encode(table["superclass_index"], table["subclass_index"])
    np.testing.assert_array_equal(supers, test_split.super_labels)
    np.testing.assert_array_equal(subs, test_split.sub_labels)
    assert (table["superclass_index"] == 2).sum() == 5 * TEST_PER_CLASS


def test_bad_seed_and_split_are_named() -> None:
    with pytest.raises(ValueError, match="seed=-1"):
        demo_source(-1)
    with pytest.raises(ValueError, match="'val'"):
        demo_arrays(0, split="val")  # type: ignore[arg-type]


def test_a_full_disk_is_named_and_leaves_the_files_of_before(tmp_path: Path) -> None:
    (tmp_path / "train_images.zip").write_bytes(b"of before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"no space left") as caught:
            write_demo(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / "train_images.zip")
    assert (tmp_path / "train_images.zip").read_bytes() == b"of before"
    assert not list(tmp_path.glob(".*.part"))
