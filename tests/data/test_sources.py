"""Claims about every format together, the folder tree, the demo and the real set."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hierclf.data.sources import open_source
from tests.layouts import (
    ROWS,
    TREE,
    fatal,
    only_fatal,
    parquet,
    red_values,
    release,
    text_columns,
    tree,
)


def test_a_tree_is_read_in_sorted_order(tmp_path: Path) -> None:
    source = open_source(str(tree(tmp_path, TREE)))
    known = source.hierarchy
    assert known.super_names == ("bird", "dog")
    assert known.sub_names == ("hen", "owl", "pug")
    assert (known.super_ids, known.sub_ids) == ((0, 1), (0, 1, 2))
    assert (known.novel_super_id, known.novel_sub_id) == (2, 3)
    assert source.images == sorted(TREE)
    assert source.sub_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert red_values(source) == [2, 3, 0, 1, 4, 5]


def test_sub_classes_of_one_name_are_told_apart_by_their_super_class(tmp_path: Path) -> None:
    source = open_source(str(tree(tmp_path, [*TREE, "dog/owl/1.png", "dog/owl/2.png"])))
    assert source.hierarchy.sub_names == ("bird/owl", "dog/owl", "hen", "pug")
    assert source.hierarchy.sub_to_super == (0, 1, 0, 1)


def test_files_outside_the_two_levels_are_left_out_and_said(tmp_path: Path) -> None:
    stray = [
        "top.png",
        "bird/loose.png",
        "bird/owl/deep/x.png",
        ".hidden.png",
    ]
    root = tree(tmp_path, [*TREE, *stray])
    (root / "bird" / "owl" / "notes.txt").write_text("no image")
    source = open_source(str(root))
    assert len(source.images) == 6
    assert not any(problem.fatal for problem in source.problems)
    assert [p.where for p in source.problems] == ["files .txt", ".", "bird", "bird/owl/deep"]


def test_a_tree_folder_named_novel_is_fatal(tmp_path: Path) -> None:
    root = tree(tmp_path, [*TREE, "dog/Novel/1.png", "dog/Novel/2.png"])
    assert "named 'novel'" in fatal(root)[0].what


def test_images_of_kinds_that_are_not_read_are_named_with_the_way_out(tmp_path: Path) -> None:
    names = ["bird/owl/a.jp2", "bird/owl/b.TGA", "dog/pug/a.jp2"]
    root = tree(tmp_path / "data", TREE)
    for name in names:
        (root / name).write_bytes(b"x")
    said = [(problem.where, problem.what) for problem in open_source(str(root)).problems]
    what = "3 images of kinds that are not read (.jp2, .tga) are left out "
    assert said == [("data", what + "(first: 'bird/owl/a.jp2'); convert to PNG")]


def test_class_folders_may_be_links_to_elsewhere(tmp_path: Path) -> None:
    plain = tree(tmp_path / "plain", TREE)
    root = tree(tmp_path / "data", TREE[:4])
    (root / "dog").symlink_to(plain / "dog")
    source = open_source(str(root))
    assert source.images == open_source(str(plain)).images
    assert [problem.where for problem in source.problems] == ["data"]
    assert "1 link leads out of the folder" in source.problems[0].what


def test_a_link_loop_ends(tmp_path: Path) -> None:
    root = tree(tmp_path, TREE)
    (root / "dog" / "loop").symlink_to("loop")
    (root / "dog" / "up").symlink_to("..")
    source = open_source(str(root))
    assert len(source.images) == 6
    assert [problem.where for problem in source.problems] == ["dog/loop"]


def test_links_to_links_are_walked_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", TREE)
    chain = tmp_path / "chain"  # each folder leads to the next by two ways: 2 ** 40 of them
    for i in range(40):
        (chain / str(i)).mkdir(parents=True)
        for way in "ab":
            (chain / str(i) / way).symlink_to(chain / str(i + 1))
    (root / "chain").symlink_to(chain / "0")
    assert len(open_source(str(root)).images) == 6


def test_a_split_of_links_into_a_folder_beside_it_is_read(tmp_path: Path) -> None:
    root = tree(tmp_path, [*(f"all/{name}" for name in TREE), "val/bird/owl/z.png"])
    for name in ("bird/owl", "bird/hen", "dog/pug"):
        (root / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "train" / name).symlink_to(root / "all" / name)
    source = open_source(str(root))
    assert sorted(source.images) == sorted(
        [*(f"train/{name}" for name in TREE), "val/bird/owl/z.png"]
    )


def test_a_class_linked_under_another_class_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, TREE)
    (root / "dog" / "chick").symlink_to(root / "bird" / "hen")
    problems = fatal(root)
    assert "image 'dog/chick/a.png' has the labels" in problems[0].what
    assert "in bird/hen/a.png" in problems[0].what


def test_a_tree_class_of_one_image_is_fatal(tmp_path: Path) -> None:
    assert "at least 2 images" in only_fatal(tree(tmp_path, TREE[:-1])).what


@pytest.mark.parametrize("images", [[], ["1.png", "2.png"], ["cat/1.png", "cat/2.png"]])
def test_a_folder_without_classes_has_no_images(tmp_path: Path, images: list[str]) -> None:
    assert "no images at all" in only_fatal(tree(tmp_path, images)).what


@pytest.fixture(params=["zip", "loose", "tree", "parquet"])
def any_format(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    match request.param:
        case "zip":
            return release(tmp_path / "data")
        case "loose":
            return release(tmp_path / "data", archive=None)
        case "tree":
            return tree(tmp_path / "data", TREE)
        case _:
            return parquet(tmp_path / "data.parquet", text_columns())


def test_reading_is_safe_among_threads(any_format: Path) -> None:
    source = open_source(str(any_format))
    expected = [source.read(i) for i in range(6)]
    order = [i % 6 for i in range(600)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, order)) == [expected[i] for i in order]


def test_the_fingerprint_is_stable_and_follows_the_content(any_format: Path) -> None:
    before = open_source(str(any_format)).fingerprint
    assert open_source(str(any_format)).fingerprint == before
    if any_format.is_dir() and (any_format / "train_images.zip").exists():
        release(any_format, images=[f"train_images/{i}.png" for i in (1, 0, 2, 3, 4, 5)])
    else:
        files = [p for p in (any_format, *any_format.rglob("*.png")) if p.is_file()]
        os.utime(files[0], ns=(1, 1))
    assert open_source(str(any_format)).fingerprint != before


def test_the_fingerprint_follows_the_labels(tmp_path: Path) -> None:
    before = open_source(str(release(tmp_path))).fingerprint
    swapped = [("2.png", 0, 0), ("0.png", 0, 2), *ROWS[1:2], *ROWS[3:]]
    assert open_source(str(release(tmp_path, swapped))).fingerprint != before
    assert open_source(str(release(tmp_path))).fingerprint == before


def test_the_fingerprint_of_a_zip_release_survives_a_copy(tmp_path: Path) -> None:
    first = open_source(str(release(tmp_path / "a"))).fingerprint
    assert open_source(str(release(tmp_path / "b"))).fingerprint == first


@pytest.mark.parametrize("name", ["gone", "gone.parquet"])
def test_a_path_that_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: no such file or folder$"):
        open_source(str(tmp_path / name))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"neither a folder nor a \.parquet file"):
        open_source(str(tmp_path / "a.txt"))


@pytest.mark.parametrize("path", ["demo", "demo:3"])
def test_the_demo_opens_by_name(path: str) -> None:
    source = open_source(path)
    assert source.hierarchy.n_super >= 3
    image = source.read(0)
    assert isinstance(image, np.ndarray)
    assert image.dtype == np.uint8


def test_demo_and_demo_0_are_the_same(tmp_path: Path) -> None:
    assert open_source("demo").fingerprint == open_source("demo:0").fingerprint
    assert open_source("demo").fingerprint != open_source("demo:1").fingerprint


@pytest.mark.parametrize("path", ["demo:x", "demo:-1", "demo:1.5"])
def test_a_bad_demo_seed_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="must be an integer >= 0, but got"):
        open_source(path)


@pytest.mark.skipif("HIERCLF_DATA" not in os.environ, reason="HIERCLF_DATA is not set")
def test_the_real_set_is_read_whole() -> None:
    source = open_source(os.environ["HIERCLF_DATA"])
    assert len(source.images) == 6288
    assert source.problems == []
    assert source.hierarchy.super_names == ("bird", "dog", "reptile")
    assert source.hierarchy.n_sub == 87
    assert (source.hierarchy.novel_super_id, source.hierarchy.novel_sub_id) == (3, 87)
    assert source.hierarchy.sub_names[0] == "Scotch terrier, Scottish terrier, Scottie"
    counts = np.bincount(source.sub_labels)
    assert counts.min() >= 40
    assert counts.sum() == 6288
