"""Claims about images that are read anew from Parquet; by Ray Data: test_stream_on_nodes.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hierclf.config import Config, parse_config
from hierclf.data import stream as stream_module
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.sources import open_source
from hierclf.data.stream import ImageStream, groups_of, map_here
from hierclf.data.stream_open import open_stream
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.prepare import Prepared, prepare
from tests.image_bytes import encode
from tests.layouts import TREE, parquet, pixels_of, png_of, tree

CPU = torch.device("cpu")
SUBS = {"owl": "bird", "hen": "bird", "pug": "dog", "collie": "dog", "lynx": "cat", "puma": "cat"}


def write(
    root: Path, changes: dict[int, bytes | None] | None = None, *, sides: Any = (16,)
) -> Path:
    """60 noisy pictures in three files of row groups of 6; some may be given other bytes."""
    root.mkdir()
    rng = np.random.default_rng(0)
    shapes = [(sides[i % len(sides)], 16, 3) for i in range(60)]
    data: list[bytes | None] = [png_of(rng.integers(0, 256, s, dtype=np.uint8)) for s in shapes]
    for index, changed in (changes or {}).items():
        data[index] = changed
    subs = [list(SUBS)[i % 6] for i in range(60)]
    for part in range(3):
        cut = slice(20 * part, 20 * part + 20)
        columns = {"image": data[cut], "subclass": subs[cut]}
        columns["superclass"] = [SUBS[sub] for sub in subs[cut]]
        parquet(root / f"train-{part}.parquet", columns, group=6)
    return root


def both(
    data: Path, folder: Path, *, size: int | None = None, share: float = 0.2
) -> tuple[ImageCache, ImageCache]:
    """The set as a cache and as a stream."""
    source = open_source(str(data))
    options: dict[str, Any] = {"size": size, "directory": folder, "max_bad_share": share}
    return open_cache(source, **options), open_stream(source, **options, over=map_here)


def test_truncated_files_are_kept_in_a_stream_as_in_a_cache(tmp_path: Path) -> None:
    cut = encode(Image.new("RGB", (16, 16), (9, 90, 200)), "JPEG")[:-2]
    data = write(tmp_path / "data", {7: cut})
    options: dict[str, Any] = {"size": None, "directory": tmp_path, "max_bad_share": 0.2}
    for keep, count in ((False, 59), (True, 60)):
        source = open_source(str(data), keep_truncated=keep)
        cache, stream = open_cache(source, **options), open_stream(source, **options, over=map_here)
        assert len(cache.names) == len(stream.names) == count
        (images,) = stream_of(stream).read([np.arange(count)])
        np.testing.assert_array_equal(images, pixels_of(cache))


def stream_of(images: ImageCache) -> ImageStream:
    assert isinstance(images.images, ImageStream)
    return images.images


def bad_bytes(data: Path) -> dict[int, bytes | None]:
    """For some rows: nothing, text, and the bytes of row 7."""
    first = open_source(str(data)).read(7)
    assert isinstance(first, bytes)
    return {3: None, 24: b"text", 55: first}


# --- the same as the cache ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "sides"), [(None, (16,)), (None, (12,)), (None, (16, 20)), (8, (16, 20))]
)
def test_batches_in_any_order_hold_the_pixels_of_the_cache_bit_for_bit(
    tmp_path: Path, size: int | None, sides: tuple[int, ...]
) -> None:
    cache, images = both(write(tmp_path / "data", sides=sides), tmp_path, size=size)
    assert len(images.images) == 60
    assert images.images.shape == cache.images.shape
    order = np.random.default_rng(1).permutation(60)
    batches = np.array_split(order, 7)
    read = list(stream_of(images).read(batches))
    assert len(read) == 7
    for rows, pixels in zip(batches, read, strict=True):
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, pixels_of(cache)[rows])


def test_unreadable_and_repeated_images_are_accounted_for_as_in_the_cache(tmp_path: Path) -> None:
    changes = bad_bytes(write(tmp_path / "good"))
    cache, images = both(write(tmp_path / "data", changes), tmp_path)
    assert images.names == cache.names
    assert images.hierarchy == cache.hierarchy
    np.testing.assert_array_equal(images.super_labels, cache.super_labels)
    np.testing.assert_array_equal(images.sub_labels, cache.sub_labels)
    pd.testing.assert_frame_equal(images.quarantine, cache.quarantine)
    pd.testing.assert_frame_equal(images.repeats, cache.repeats)
    assert images.quarantine.image.tolist() == ["3", "24"]
    assert images.repeats.to_numpy().tolist() == [["55", "7"]]
    assert cache.fingerprint == images.fingerprint
    (whole,) = stream_of(images).read([np.arange(58)])
    np.testing.assert_array_equal(whole, cache.images)


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        (dict.fromkeys(range(3)), 0.02),
        (dict.fromkeys(range(0, 60, 6)), 1),
        (dict.fromkeys(range(60), b"text"), 1),
    ],
)
def test_what_the_cache_refuses_is_refused_in_the_same_words(
    tmp_path: Path, changes: dict[int, bytes | None], share: float
) -> None:
    source = open_source(str(write(tmp_path / "data", changes)))
    said = []
    options: dict[str, Any] = {"size": None, "directory": tmp_path, "max_bad_share": share}
    for attempt in (open_cache, lambda *args, **named: open_stream(*args, **named, over=map_here)):
        with pytest.raises(ValueError, match="read") as caught:
            attempt(source, **options)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_stream_that_was_opened_before_looks_at_no_image(tmp_path: Path) -> None:
    source = open_source(str(write(tmp_path / "data")))
    calls: list[tuple[int, int]] = []
    for over in (map_here, None):  # the second could not look
        images = open_stream(
            source,
            size=None,
            directory=tmp_path / "tables",
            over=over,  # type: ignore[arg-type]
            progress=lambda *call: calls.append(call),
        )
        assert images.names == [str(i) for i in range(60)]
    assert calls[-1] == (60, 60)
    assert len(calls) == 12
    assert images.path is not None
    n_bytes = sum(int(file.stat().st_size) for file in images.path.iterdir())
    assert n_bytes < 5000  # no pixels


def test_an_image_that_can_no_longer_be_read_is_named(tmp_path: Path) -> None:
    _, images = both(write(tmp_path / "data"), tmp_path)
    (tmp_path / "data" / "train-1.parquet").unlink()
    with pytest.raises(ValueError, match=r"image 20 .*train-1.parquet, row group 0, row 0"):
        list(stream_of(images).read([np.arange(60)]))


# --- order and memory --------------------------------------------------------------------------


def most_waiting(images: ImageStream, order: np.ndarray) -> int:
    """Images that lie decoded and unused at the worst moment of reading rows in an order."""
    group_of = {
        int(row): i for i, g in enumerate(groups_of(images.parquet, order)) for row in g.rows
    }
    sizes = np.bincount(list(group_of.values()))
    newest = np.maximum.accumulate([group_of[int(row)] for row in order])
    return int((np.cumsum(sizes)[newest] - np.arange(len(order))).max())


@pytest.fixture
def wide(tmp_path: Path) -> ImageStream:
    """A set as of 40 files with 50 row groups of 20 images, none of which exists."""
    n_images = 40_000
    rows = np.arange(n_images)
    places = np.stack([rows // 1000, rows // 20 % 50, rows % 20], axis=1)
    files = stream_module.ParquetImages([f"{i}" for i in range(40)], ["image"] * 40, places)
    return ImageStream((n_images, 8, 8, 3), files, map_here)


def test_what_waits_is_bounded_whatever_the_number_of_images(
    wide: ImageStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "SHUFFLE_BYTES", 8 * 8 * 3 * 500)  # 500 images
    rng = np.random.default_rng(0)
    for rows in (np.arange(4_000), np.arange(40_000), np.arange(0, 40_000, 3)):
        assert most_waiting(wide, wide.shuffled(rows, rng)) <= 500 + 20
        assert most_waiting(wide, rows) <= 20
    assert most_waiting(wide, rng.permutation(40_000)) > 30_000  # what the order is for


def test_an_epoch_shows_every_row_once_in_an_order_that_the_generator_decides(
    wide: ImageStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "SHUFFLE_BYTES", 8 * 8 * 3 * 500)
    rows = np.arange(1, 40_000, 2)
    first, same, other = (wide.shuffled(rows, np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(np.sort(first), rows)
    np.testing.assert_array_equal(first, same)
    assert (first != other).mean() > 0.99
    # A batch shows some of many row groups, and neighbours in a file part.
    assert np.mean([len(np.unique(batch // 20)) for batch in np.split(first[:19_968], 312)]) > 30
    assert abs(np.corrcoef(np.arange(len(rows)), first)[0, 1]) < 0.2


def test_a_set_smaller_than_the_buffer_is_mixed_as_a_whole(wide: ImageStream) -> None:
    rows = np.arange(4_000)
    order = wide.shuffled(rows, np.random.default_rng(0))
    in_batch = [len(np.unique(batch // 20)) for batch in np.split(order[:3_968], 62)]
    assert np.mean(in_batch) > 50  # of 64 images


# --- training ----------------------------------------------------------------------------------


def config_of(data: Path | str, *, stream: bool) -> Config:
    model = {"backbone": "smallnet", "weights": "none", "image_size": 16, "crop_fraction": 1.0}
    return parse_config(
        {
            "data": {"path": str(data), "stream": stream},
            "model": model,
            "train": {"epochs": 2, "batch_size": 8, "eval_batch_size": 7, "precision": "fp32"},
            "folds": {"sub": 2, "super": 1},
        }
    )


def prepared_of(data: Path, folder: Path, *, stream: bool) -> Prepared:
    return prepare(config_of(data, stream=stream), directory=folder, device=CPU)


def cached_and_streamed(folder: Path, fold: str) -> list[FoldRun]:
    data = write(folder / "data")
    runs = []
    for stream in (False, True):
        prepared = prepared_of(data, folder, stream=stream)
        config = config_of(data, stream=stream)
        runs.append(FoldRun(prepared.folds[fold], prepared, config, CPU))
    return runs


def test_a_streamed_fold_has_the_folds_batches_of_equal_size_and_table_of_the_cached_one(
    tmp_path: Path,
) -> None:
    cached, streamed = runs = cached_and_streamed(tmp_path, "sub0")
    np.testing.assert_array_equal(cached.fold.train, streamed.fold.train)
    assert cached.steps == streamed.steps
    assert np.isfinite(streamed.train_epoch(1))
    cached.net.load_state_dict(streamed.net.state_dict())
    names = ("msp", "knn")
    ours, theirs = (fold_table(run, names, fit_fold_scores(run, names)).frame for run in runs)
    pd.testing.assert_frame_equal(ours, theirs)


def test_training_in_the_same_order_ends_with_the_same_weights_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached, streamed = runs = cached_and_streamed(tmp_path, "super0")
    monkeypatch.setattr(cached, "_batches", streamed._batches)
    losses = [[run.train_epoch(epoch) for epoch in (1, 2)] for run in runs]
    assert losses[0] == losses[1]
    for name, tensor in streamed.net.state_dict().items():
        assert torch.equal(tensor, cached.net.state_dict()[name]), name


# --- mistakes ----------------------------------------------------------------------------------


def test_other_layouts_cannot_be_streamed(tmp_path: Path) -> None:
    root = tree(tmp_path / "photos", TREE)
    with pytest.raises(ValueError, match=r"data.stream=true takes a Parquet file .* got photos"):
        prepare(config_of(root, stream=True), directory=tmp_path, device=CPU)


def test_a_frozen_backbone_cannot_be_streamed() -> None:
    frozen = {"freeze": "backbone", "weights": "w.safetensors"}
    with pytest.raises(ValueError, match=r"data.stream=true needs model.freeze=none .*=backbone"):
        parse_config({"data": {"stream": True}, "model": frozen})
