"""Claims about shards of features: each depends on nothing but itself."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from hierclf.nets.backbones import build_backbone
from hierclf.training.augment import augment
from hierclf.training.feature_shards import (
    FeatureSettings,
    n_shards,
    ready,
    seed_of,
    shard_of,
    shard_size,
    write_shards,
)

CPU = torch.device("cpu")
SETTINGS = FeatureSettings(
    n_images=14,
    strengths=(0.0, 1.0, 2.0),
    seed=3,
    step=2,
    shard=4,
    image_size=16,
    crop_fraction=1.0,
    interpolation="bilinear",
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
)
ORDER = range(n_shards(SETTINGS))


def written(images: np.ndarray, module: nn.Module, order: list[int]) -> np.ndarray:
    width = module(torch.zeros(1, 3, 16, 16)).shape[1]
    bank = np.full((3, 14, width), np.nan, dtype=np.float32)
    shards = [shard_of(number, SETTINGS) for number in order]
    assert list(write_shards(shards, SETTINGS, module, images, bank, CPU)) == shards
    return bank


def test_shards_cover_every_row_of_every_view_once() -> None:
    shards = [shard_of(number, SETTINGS) for number in ORDER]
    rows = [(s.view, row) for s in shards for row in range(14)[s.rows]]
    assert rows == [(view, row) for view in range(3) for row in range(14)]
    assert [s.rows.stop - s.rows.start for s in shards] == [4, 4, 4, 2] * 3


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 64), (3, 63), (32, 64), (40, 40), (64, 64), (128, 128)]
)
def test_a_shard_is_made_of_whole_batches(step: int, expected: int) -> None:
    assert shard_size(step) == expected


def test_shards_have_the_same_bytes_in_any_order() -> None:
    images = np.random.default_rng(0).integers(0, 256, (14, 16, 16, 3), dtype=np.uint8)
    torch.manual_seed(0)
    module = ready(build_backbone("smallnet", "none").module, CPU)
    in_order = written(images, module, list(ORDER))
    assert np.isfinite(in_order).all()
    shuffled = np.random.default_rng(1).permutation(len(ORDER)).tolist()
    assert written(images, module, shuffled).tobytes() == in_order.tobytes()
    alone = written(images, module, [6])
    assert alone[1, 8:12].tobytes() == in_order[1, 8:12].tobytes()
    assert np.isnan(np.delete(alone[1], range(8, 12), axis=0)).all()


def test_random_numbers_of_a_shard_are_one_stream_for_its_batches() -> None:
    images = np.random.default_rng(0).integers(0, 256, (14, 16, 16, 3), dtype=np.uint8)
    found = written(images, nn.Flatten(), [6])[1, 8:12]
    generator = torch.Generator().manual_seed(seed_of(shard_of(6, SETTINGS), SETTINGS))
    for rows in (slice(8, 10), slice(10, 12)):
        batch = torch.from_numpy(images[rows])
        expected = augment(batch, size=16, strength=1.0, generator=generator).flatten(1)
        np.testing.assert_array_equal(found[rows.start - 8 : rows.stop - 8], expected)


def test_shards_views_and_seeds_have_different_random_numbers() -> None:
    one = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    bank = written(np.repeat(one, 14, axis=0), nn.Flatten(), list(ORDER))
    assert (bank[0] == bank[0, 0]).all()
    for view in (1, 2):
        shown = bank[view][np.lexsort(bank[view].T)]
        assert all((first != second).any() for first, second in pairwise(shown))
    seeds = {
        seed_of(shard_of(number, SETTINGS), SETTINGS._replace(seed=seed))
        for number in ORDER
        for seed in range(50)
    }
    assert len(seeds) == 50 * len(ORDER)


def test_no_shards_are_no_work() -> None:
    bank = np.zeros((3, 14, 1), np.float32)
    images = np.zeros((14, 16, 16, 3), np.uint8)
    assert not list(write_shards([], SETTINGS, nn.Flatten(), images, bank, CPU))
