"""Data that changed since a run's first start are refused in one line with what differs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hierclf.data.cache import open_cache
from hierclf.data.sources import open_source
from search.pipeline.same_data import check_images, check_pixels, keep_images


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
