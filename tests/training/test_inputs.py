"""Claims about what the network is fed, from images and from cached features."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hierclf.nets.preprocessing import center_view
from hierclf.training import inputs
from hierclf.training.augment import augment
from hierclf.training.inputs import Inputs, feature_inputs, image_inputs

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 12, 16, 3), dtype=np.uint8)
ROWS = np.array([7, 2, 2, 9])
# Feature [view, image] says which view and image it is.
N_VIEWS, MAX_STRENGTH = 4, 2.0  # strengths 0, 0.5, 1, 1.5, 2
BANK = np.stack(np.meshgrid(np.arange(N_VIEWS + 1), np.arange(10), indexing="ij"), axis=-1).astype(
    np.float32
)


def from_images(strength: float) -> Inputs:
    return image_inputs(
        IMAGES,
        size=8,
        crop_fraction=0.8,
        interpolation="bicubic",
        strength=strength,
        device=CPU,
    )


def from_features(strength: float) -> Inputs:
    return feature_inputs(BANK, strength=strength, max_strength=MAX_STRENGTH, device=CPU)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def views_drawn(strength: float, draws: int = 200) -> Tensor:
    return next(from_features(strength).train([np.repeat(ROWS, draws)], seeded()))[:, 0]


def test_evaluation_shows_the_centre_view_of_the_rows_in_order() -> None:
    expected = center_view(
        torch.from_numpy(IMAGES[ROWS]), size=8, crop_fraction=0.8, interpolation="bicubic"
    )
    torch.testing.assert_close(next(from_images(1.0).eval([ROWS])), expected, rtol=0, atol=0)


def test_a_gpu_augments_several_batches_at_once_and_a_cpu_one() -> None:
    batches = [torch.full((3, 1), float(i)) for i in range(5)]
    side = int((inputs.GPU_PIXELS / 7) ** 0.5)  # room for seven images
    sizes = {
        kind: [len(group) for group in inputs._together(iter(batches), side, torch.device(kind))]
        for kind in ("cuda", "cpu")
    }
    assert sizes == {"cuda": [2, 2, 1], "cpu": [1] * 5}
    groups = inputs._together(iter(batches), side, torch.device("cuda"))
    assert torch.equal(torch.cat([torch.cat(group) for group in groups]), torch.cat(batches))


def test_training_shows_augmented_rows_from_the_generator() -> None:
    inputs = from_images(1.0)
    expected = augment(torch.from_numpy(IMAGES[ROWS]), size=8, strength=1.0, generator=seeded())
    found = next(inputs.train([ROWS], seeded()))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not torch.equal(found, next(inputs.train([ROWS], seeded(1))))
    assert not torch.equal(found[1], found[2])  # the same image twice is augmented twice


def test_strength_0_shows_images_as_they_are() -> None:
    inputs = from_images(0.0)
    assert torch.equal(next(inputs.train([ROWS], seeded(0))), next(inputs.train([ROWS], seeded(1))))


def test_a_read_only_array_is_never_written_to() -> None:
    images = IMAGES.copy()
    images.flags.writeable = False
    inputs = image_inputs(
        images, size=8, crop_fraction=1.0, interpolation="bilinear", strength=3.0, device=CPU
    )
    next(inputs.train([ROWS], seeded()))
    next(inputs.eval([ROWS]))
    np.testing.assert_array_equal(images, IMAGES)


def test_evaluation_reads_view_0_of_the_rows_in_order() -> None:
    expected = np.array([[0, row] for row in ROWS], dtype=np.float32)
    np.testing.assert_array_equal(next(from_features(2.0).eval([ROWS])), expected)


def test_features_of_training_belong_to_the_rows_in_order() -> None:
    for seed in range(5):
        found = next(from_features(2.0).train([ROWS], seeded(seed)))
        np.testing.assert_array_equal(found[:, 1], ROWS)
        assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("strength", "views"),
    [(0.0, {0}), (0.49, {0}), (0.5, {0, 1}), (1.5, {0, 1, 2, 3}), (2.0, {0, 1, 2, 3, 4})],
)
def test_training_draws_from_the_views_of_at_most_that_strength(
    strength: float, views: set[int]
) -> None:
    assert set(views_drawn(strength).int().tolist()) == views


def test_a_strength_beyond_the_bank_draws_from_all_views_evenly() -> None:
    counts = torch.bincount(views_drawn(3.0, draws=2000).int(), minlength=5)
    assert ((counts - 1600).abs() < 5 * (8000 * 0.2 * 0.8) ** 0.5).all()


def test_a_thirds_view_is_usable_at_exactly_its_strength() -> None:
    # 0.1 * 3 is a little more than 0.3 in floating point.
    bank = np.zeros((4, 2, 1), dtype=np.float32)
    bank[3] = 1
    inputs = feature_inputs(bank, strength=0.3, max_strength=0.1 * 3, device=CPU)
    assert next(inputs.train([np.zeros(100, dtype=np.int64)], seeded())).max() == 1


def test_views_are_drawn_by_the_generator_alone() -> None:
    inputs = from_features(2.0)
    rows = np.arange(10)
    first = next(inputs.train([rows], seeded(3)))
    torch.rand(5)
    assert torch.equal(first, next(inputs.train([rows], seeded(3))))
    assert not torch.equal(first, next(inputs.train([rows], seeded(4))))
