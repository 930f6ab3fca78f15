"""Claims about folder trees: splits above the classes, and folders that are no two levels."""

from pathlib import Path

import pytest

from hierclf.data.sources import inspect_source, open_source
from tests.layouts import TREE, only_fatal, tree

TWO_LEVELS = ["bird/owl", "bird/hen", "dog/pug"]


def in_splits(root: Path, **counts: int) -> Path:
    """That many images of each class below each split."""
    return tree(
        root, [f"{s}/{c}/{i}.png" for s, n in counts.items() for c in TWO_LEVELS for i in range(n)]
    )


def test_train_and_val_folders_are_a_split_and_test_is_left_out(tmp_path: Path) -> None:
    source = open_source(str(in_splits(tmp_path, train=3, val=1, test=2)))
    assert source.hierarchy.super_names == ("bird", "dog")
    assert source.hierarchy.sub_names == ("hen", "owl", "pug")
    assert source.is_val is not None
    assert [name.startswith("val/") for name in source.images] == source.is_val.tolist()
    assert len(source.images) == 12
    (problem,) = source.problems
    assert (problem.where, problem.what[:14]) == ("test", "6 test images,")


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("Training", "validation"),
        ("TRAIN", "dev"),
        ("train", "valid"),
        ("training_set", "Validation set"),
        ("01-train-images", "02-val-images"),
        ("trainset", "valset"),
    ],
)
def test_splits_have_many_names(tmp_path: Path, train: str, val: str) -> None:
    source = open_source(str(in_splits(tmp_path, **{train: 2, val: 1})))
    assert source.is_val is not None
    assert source.is_val.sum() == 3


def test_train_beside_test_alone_leaves_the_split_to_the_run(tmp_path: Path) -> None:
    assert open_source(str(in_splits(tmp_path, train=2, test=2))).is_val is None


def test_train_alone_is_a_split(tmp_path: Path) -> None:
    assert open_source(str(in_splits(tmp_path, train=2))).hierarchy.n_super == 2


def test_a_class_in_val_alone_leaves_nothing_to_train_on(tmp_path: Path) -> None:
    root = tree(in_splits(tmp_path, train=2, val=1), [f"val/cat/lynx/{i}.png" for i in range(2)])
    problem = only_fatal(root)
    assert problem.where == "sub-class 'lynx'"
    assert "without training images" in problem.what


@pytest.mark.parametrize(
    "splits",
    [("train", "test"), ("train", "val", "test"), ("train",), ("train_set", "test_set")],
)
def test_splits_above_one_level_of_classes_are_named(
    tmp_path: Path, splits: tuple[str, ...]
) -> None:
    images = [f"{s}/{c}/{i}.png" for s in splits for c in ("owl", "pug") for i in range(2)]
    problem = only_fatal(tree(tmp_path, images))
    assert "have only one level; two are needed (train/super/sub/image)" in problem.what
    assert set(problem.where.split(", ")) == set(splits)


@pytest.mark.parametrize("splits", [("train", "val"), ("train data", "Test data")])
def test_splits_below_the_super_classes_are_named(tmp_path: Path, splits: tuple[str, str]) -> None:
    images = [f"{c}/{s}/{i}.png" for s in splits for c in ("owl", "pug") for i in "01"]
    problem = only_fatal(tree(tmp_path, images))
    assert "the folders below the classes are splits" in problem.what


def test_splits_below_the_sub_classes_are_named(tmp_path: Path) -> None:
    images = [f"{c}/{s}/{i}.png" for s in ("train", "val") for c in TWO_LEVELS for i in "01"]
    what = next(p.what for p in inspect_source(str(tree(tmp_path, images)))[1] if p.fatal)
    assert what.endswith("; put the folders train, val, test above the classes")


@pytest.mark.parametrize("tops", [("fold1", "fold2"), ("cats_train", "cats_test")])
def test_super_classes_that_all_hold_the_same_sub_classes_are_said(
    tmp_path: Path, tops: tuple[str, str]
) -> None:
    images = [f"{s}/{c}/{i}.png" for s in tops for c in ("owl", "pug") for i in "01"]
    (problem,) = open_source(str(tree(tmp_path, images))).problems
    assert not problem.fatal
    assert problem.what.startswith("all 2 hold the same sub-classes ('owl', 'pug'); if they are")


@pytest.mark.parametrize("name", ["training_camp", "restset", "validator", "dataset", "2020"])
def test_a_class_whose_name_holds_a_split_stays_a_class(tmp_path: Path, name: str) -> None:
    images = [f"{s}/{c}/{i}.png" for s in ("train", name) for c in (f"{s}1", f"{s}2") for i in "01"]
    assert open_source(str(tree(tmp_path, images))).hierarchy.n_super == 2


def test_classes_may_be_called_train_and_car(tmp_path: Path) -> None:
    images = [
        f"{s}/{c}/{i}.png" for s in ("train", "car") for c in (f"{s}1", f"{s}2") for i in "01"
    ]
    assert open_source(str(tree(tmp_path, images))).hierarchy.super_names == ("car", "train")


def test_a_folder_around_the_classes_is_named(tmp_path: Path) -> None:
    root = tree(tmp_path, [f"images/{name}" for name in TREE])
    what = next(p.what for p in inspect_source(str(root))[1] if p.fatal)
    assert what.endswith(f"; is the data set {root / 'images'}?")


def test_images_are_recognised_by_content_where_their_ending_says_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path, [*TREE, "dog/pug/c.jfif", "dog/pug/d", "dog/pug/e.JPE"])
    (root / "dog" / "pug" / "f.dat").write_bytes(b"neither picture nor text")
    source = open_source(str(root))
    assert {"dog/pug/c.jfif", "dog/pug/d", "dog/pug/e.JPE"} < set(source.images)
    (problem,) = source.problems
    assert problem.where == "files .dat"


@pytest.mark.parametrize(
    "junk",
    [
        ".ipynb_checkpoints/owl/a.png",
        "bird/.thumbnails/a.png",
        "bird/owl/._a.png",
        "__MACOSX/bird/owl/x.png",
        "bird/owl/__MACOSX/x.png",
        "bird/@eaDir/a.png",
        "#recycle/owl/a.png",
        "@Recycle/owl/a.png",
        "$Recycle.Bin/owl/a.png",
        "lost+found/owl/a.png",
        "._notes.csv",
        "._part-0.parquet",
        "._images.zip",
    ],
)
def test_hidden_files_and_folders_change_nothing(tmp_path: Path, junk: str) -> None:
    source = open_source(str(tree(tmp_path, [*TREE, junk])))
    assert len(source.images) == 6
    assert not source.problems


@pytest.mark.parametrize("name", ["metadata.csv", "embeddings.parquet"])
def test_tables_without_images_and_labels_beside_class_folders_are_left_out(
    tmp_path: Path, name: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tree(tmp_path, TREE)
    if name.endswith(".csv"):
        (root / name).write_text("file,camera\na.png,1\n")
    else:
        pq.write_table(pa.table({"file": ["a.png"], "x": [0.5]}), root / name)
    source = open_source(str(root))
    assert len(source.images) == 6
    (problem,) = source.problems
    assert problem.where == name
    columns = "file, camera" if name.endswith(".csv") else "file, x"
    assert f"--columns image=...,super=...,sub=... names its columns ({columns})" in problem.what
