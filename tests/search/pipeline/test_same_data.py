"""Data that changed since a run's first start are refused in one line with what differs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hierclf.data.cache import open_cache
from hierclf.data.novel import open_novel
from hierclf.data.sources import open_source
from hierclf.training.novel_images import NovelImages
from search.pipeline.same_data import (
    check_images,
    check_novel,
    check_pixels,
    check_without_labels,
    keep_images,
)
from tests.layouts import ROWS, release
from tests.tiny_models import HIERARCHY


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def draw_both(folder: Path) -> None:
    for seed in (50, 51):
        draw(folder / f"{seed}.png", seed)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for i in range(12):
        draw(root / ("bird/robin", "bird/wren", "dog/pug")[i % 3] / f"{i}.png", i)
    (root / "dog/pug/2.png").write_bytes(b"no image")
    source = open_source(str(root))
    cache = open_cache(source, size=None, directory=tmp_path / "cache", max_bad_share=0.5)
    keep_images(source, cache, tmp_path / "data.parquet")
    return root


def check(root: Path) -> None:
    kept = root.parent / "data.parquet"
    source = open_source(str(root))
    check_images(source, kept, title="one")
    cache = open_cache(source, size=None, directory=root.parent / "cache", max_bad_share=0.5)
    check_pixels(cache, kept, title="one")


def test_the_same_data_pass_whatever_their_dates_are(data: Path) -> None:
    check(data)
    (data / "bird/robin/0.png").touch()
    check(data)


def test_a_first_start_has_nothing_to_compare_with(data: Path) -> None:
    (data.parent / "data.parquet").unlink()
    draw(data / "bird/robin/99.png", 99)
    check(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda root: draw(root / "bird/robin/99.png", 99),
            "1 added (first: bird/robin/99.png)",
        ),
        (
            lambda root: draw_both(root / "fish/cod"),
            "2 added (first: fish/cod/50.png)",
        ),
        (lambda root: (root / "dog/pug/5.png").unlink(), "1 removed (first: dog/pug/5.png)"),
        (
            lambda root: (root / "dog/pug").rename(root / "dog/boxer"),
            "4 added (first: dog/boxer/11.png), 4 removed (first: dog/pug/11.png)",
        ),
        (
            lambda root: draw(root / "dog/pug/5.png", 77),
            "1 with other pixels (first: dog/pug/5.png)",
        ),
        (
            lambda root: (root / "dog/pug/5.png").write_bytes(b"no image any more"),
            "1 with other pixels (first: dog/pug/5.png)",
        ),
        (
            lambda root: draw(root / "dog/pug/2.png", 2),  # unreadable until now
            "1 with other pixels (first: dog/pug/2.png)",
        ),
    ],
)
def test_what_differs_is_counted_in_one_line(
    data: Path, change: Callable[[Path], object], words: str
) -> None:
    change(data)
    with pytest.raises(ValueError, match="of one's images") as caught:
        check(data)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def change_table(root: Path, kind: str) -> None:
    """One change of a release's table or mapping that leaves every image its class."""
    table = root / "train_data.csv"
    rows = pd.read_csv(table)
    if kind == "order":
        rows = rows[::-1]
    elif kind == "ids":  # of the two super-classes, in both files
        mapping = pd.read_csv(root / "superclass_mapping.csv")
        swapped = {0: 1, 1: 0}
        mapping["index"] = mapping["index"].replace(swapped)
        mapping.to_csv(root / "superclass_mapping.csv", index=False)
        rows["superclass_index"] = rows["superclass_index"].replace(swapped)
    else:
        rows[kind] = ["train", "val"] * 3 if kind == "split" else list("abcdef")
    rows.to_csv(table, index=False)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("order", "6 in another order (first: 5.png)"),
        ("ids", "6 with another class id (first: 0.png)"),
        ("group", "6 in another group or split (first: 0.png)"),
        ("split", "6 in another group or split (first: 0.png)"),
    ],
)
def test_a_table_of_other_folds_or_outputs_is_refused(
    tmp_path: Path, kind: str, words: str
) -> None:
    root = release(tmp_path / "data", ROWS)
    source = open_source(str(root))
    kept = tmp_path / "data.parquet"
    keep_images(source, open_cache(source, size=None, directory=tmp_path / "cache"), kept)
    check_images(open_source(str(root)), kept, title="one")
    change_table(root, kind)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        check_images(open_source(str(root)), kept, title="one")
    assert "\n" not in str(caught.value)


def novel_of(root: Path, cache: Path) -> NovelImages:
    source = open_novel(str(root), HIERARCHY, height=8, width=8)
    images = open_cache(source.source, size=None, directory=cache, max_bad_share=0.5)
    class_of = dict(zip(source.source.images, source.classes.tolist(), strict=True))
    classes = np.array([class_of[name] for name in images.names])
    return NovelImages(
        images, classes, source.class_names, source.new_supers, len(source.class_names), None
    )


def check_novel_of(root: Path, kept: Path) -> None:
    check_novel(novel_of(root, root.parent / "cache"), kept, title="one")


def check_unlabelled_of(root: Path, kept: Path) -> None:
    source = open_novel(str(root), HIERARCHY, height=8, width=8).source
    images = open_cache(source, size=None, directory=root.parent / "cache", max_bad_share=0.5)
    check_without_labels(images, kept, title="one")


@pytest.mark.parametrize(
    ("check_of", "kind"), [(check_novel_of, "novel"), (check_unlabelled_of, "unlabelled")]
)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda root: draw(root / "emu/9.png", 9), "added (first: emu/9.png)"),
        (lambda root: (root / "emu/0.png").unlink(), "removed (first: emu/0.png)"),
        (lambda root: draw(root / "emu/0.png", 77), "with other pixels"),
        (lambda root: (root / "emu/0.png").touch(), None),
    ],
    ids=["added", "removed", "changed", "touched"],
)
def test_further_images_are_compared_with_those_of_the_first_start(
    tmp_path: Path,
    check_of: Callable[[Path, Path], None],
    kind: str,
    change: Callable[[Path], object],
    reason: str | None,
) -> None:
    root, kept = tmp_path / "further", tmp_path / "further.parquet"
    for i in range(3):
        draw(root / f"emu/{i}.png", i)
    check_of(root, kept)
    change(root)
    if reason is None:
        check_of(root, kept)
        return
    with pytest.raises(ValueError, match=re.escape(f"1 {kind} {reason}")) as caught:
        check_of(root, kept)
    assert "\n" not in str(caught.value)
