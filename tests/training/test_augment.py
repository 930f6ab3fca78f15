"""Augmentation and the evaluation view, against torchvision's functional operations."""

from typing import Literal

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as V
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from hierclf.nets.preprocessing import center_view
from hierclf.training.augment import (
    AugmentParams,
    apply_colour,
    apply_geometry,
    augment,
    reduce_source,
    sample_params,
)

N = 6


def neutral(n: int = N, **changes: Tensor) -> AugmentParams:
    """Parameters that change nothing, but for `changes`."""
    box = torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(n, 1)
    plain = AugmentParams(
        brightness=torch.ones(n),
        contrast=torch.ones(n),
        saturation=torch.ones(n),
        hue=torch.zeros(n),
        box=box,
        mirror=torch.ones(n),
        angle=torch.zeros(n),
    )
    return plain._replace(**changes)


@pytest.fixture
def noise() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (N, 20, 28, 3), dtype=torch.uint8, generator=generator)


@pytest.fixture
def smooth() -> Tensor:
    """Low-frequency images: two correct ways of resampling must agree closely on them."""
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randint(0, 256, (N, 3, 6, 6), dtype=torch.uint8, generator=generator)
    return V.resize(coarse, [64, 64], antialias=True).permute(0, 2, 3, 1).contiguous()


def as_float(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


def test_each_image_gets_its_own_colours_in_the_stated_order(noise: Tensor) -> None:
    drawn = sample_params(N, 2.0, torch.Generator().manual_seed(5), "cpu")
    coloured = apply_colour(noise, drawn)
    for i, image in enumerate(as_float(noise)):
        expected = V.adjust_brightness(image, drawn.brightness[i].item())
        expected = V.adjust_contrast(expected, drawn.contrast[i].item())
        expected = V.adjust_saturation(expected, drawn.saturation[i].item())
        expected = V.adjust_hue(expected, drawn.hue[i].item())
        torch.testing.assert_close(coloured[i], expected, atol=1e-5, rtol=0)


def test_neutral_geometry_is_a_bilinear_resize(noise: Tensor) -> None:
    images = as_float(noise)
    expected = V.resize(images, [56, 56], antialias=False)
    torch.testing.assert_close(apply_geometry(images, neutral(), 56), expected, atol=1e-4, rtol=0)


def test_mirror_is_a_horizontal_flip(noise: Tensor) -> None:
    images = as_float(noise)
    mirror = torch.tensor([-1.0, 1.0] * (N // 2))
    out = apply_geometry(images, neutral(mirror=mirror), 40)
    plain = apply_geometry(images, neutral(), 40)
    torch.testing.assert_close(out[::2], V.horizontal_flip(plain[::2]), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[1::2], plain[1::2])


def test_box_is_a_resized_crop(smooth: Tensor) -> None:
    images = as_float(smooth)
    top, left, height, width = 4, 10, 48, 40
    box = torch.tensor([left, top, width, height]).div(64).repeat(N, 1)
    out = apply_geometry(images, neutral(box=box), 96)
    expected = V.resized_crop(images, top, left, height, width, [96, 96], antialias=False)
    # torchvision repeats the crop's own edge where the one resampling sees the next pixel.
    torch.testing.assert_close(out[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-4, rtol=0)
    assert (out - expected).abs().max() < 0.03


@pytest.mark.parametrize("degrees", [-20.0, 35.0, 60.0])
def test_rotation_equals_torchvision(smooth: Tensor, degrees: float) -> None:
    images = as_float(smooth)
    out = apply_geometry(images, neutral(angle=torch.full((N,), degrees)), 64)
    expected = V.rotate(images, degrees, InterpolationMode.BILINEAR)
    inside = V.rotate(torch.ones(1, 1, 64, 64), degrees, InterpolationMode.NEAREST)
    # The black beyond the image may begin up to two source pixels later.
    inner = -torch.nn.functional.max_pool2d(-inside, 5, 1, 2) > 0
    outer = torch.nn.functional.max_pool2d(inside, 7, 1, 3) == 0
    assert inner.float().mean() > 0.3
    assert outer.float().mean() > 0.01
    torch.testing.assert_close(out * inner, expected * inner, atol=1e-3, rtol=0)
    assert (out * outer).max() == 0


def test_crop_flip_and_rotation_compose_like_torchvisions_chain(smooth: Tensor) -> None:
    images = as_float(smooth)
    top, left, height, width = 6, 2, 52, 58
    params = neutral(
        box=torch.tensor([left, top, width, height]).div(64).repeat(N, 1),
        mirror=-torch.ones(N),
        angle=torch.full((N,), 15.0),
    )
    out = apply_geometry(images, params, 96)
    chain = V.resized_crop(images, top, left, height, width, [96, 96], antialias=False)
    chain = V.rotate(V.horizontal_flip(chain), 15.0, InterpolationMode.BILINEAR)
    inside = V.rotate(torch.ones(1, 1, 96, 96), 15.0, InterpolationMode.NEAREST)
    inner = -torch.nn.functional.max_pool2d(-inside, 7, 1, 3) > 0
    outer = torch.nn.functional.max_pool2d(inside, 9, 1, 4) == 0
    difference = ((out - chain) * inner).abs()
    assert difference.max() < 0.02
    assert difference.mean() < 0.002
    assert (out * outer).max() == 0


def test_unrotated_crops_show_no_black() -> None:
    white = torch.ones(64, 3, 30, 50)
    drawn = sample_params(64, 3.0, torch.Generator().manual_seed(0), "cpu")
    out = apply_geometry(white, drawn._replace(angle=torch.zeros(64)), 70)
    torch.testing.assert_close(out, torch.ones_like(out), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("source", "size"), [((64, 64), 96), ((64, 64), 24), ((40, 72), 56)])
def test_strength_0_is_torchvisions_resize(source: tuple[int, int], size: int) -> None:
    images = torch.randint(0, 256, (3, *source, 3), dtype=torch.uint8)
    expected = V.resize(images.permute(0, 3, 1, 2), [size, size], antialias=True).float() / 255
    torch.testing.assert_close(augment(images, size=size, strength=0), expected)


def test_strength_near_0_is_near_strength_0(smooth: Tensor) -> None:
    same = smooth[:, :, :48]  # not square
    plain = augment(same, size=64, strength=0)
    generator = torch.Generator().manual_seed(0)
    slight = augment(same, size=64, strength=1e-4, generator=generator)
    torch.testing.assert_close(slight, plain, atol=0.01, rtol=0)


def test_strong_reduction_does_not_alias() -> None:
    stripes = torch.zeros(4, 256, 256, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    reduced = reduce_source(stripes, 64)
    assert reduced.shape == (4, 80, 80, 3)
    inner = apply_geometry(as_float(reduced), neutral(4), 64)[..., 4:-4]
    assert (inner - 0.5).abs().max() < 0.05
    assert reduce_source(stripes, 192) is stripes


@pytest.mark.parametrize("shape", [(5, 64, 64, 3), (5, 30, 50, 3), (1, 200, 90, 3)])
@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_output_form(shape: tuple[int, ...], strength: float) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    for out in (
        augment(images, size=48, strength=strength),
        center_view(images, size=48, crop_fraction=0.9, interpolation="bicubic"),
    ):
        assert out.shape == (shape[0], 3, 48, 48)
        assert out.dtype == torch.float32
        assert out.is_contiguous(memory_format=torch.channels_last)
        assert bool(((out >= -1e-6) & (out <= 1 + 1e-6)).all())


def test_input_is_left_unchanged(noise: Tensor) -> None:
    before = noise.clone()
    augment(noise, size=28, strength=2.0)
    augment(noise, size=28, strength=0)
    center_view(noise, size=20, crop_fraction=1.0, interpolation="bilinear")
    assert torch.equal(noise, before)


def test_large_batches_equal_small_ones() -> None:
    images = torch.randint(0, 256, (20, 64, 64, 3), dtype=torch.uint8)
    drawn = sample_params(20, 1.0, None, "cpu")
    whole = apply_geometry(apply_colour(images, drawn), drawn, 224)
    for i in (0, 7, 19):
        one = AugmentParams(*(p[i : i + 1] for p in drawn))
        alone = apply_geometry(apply_colour(images[i : i + 1], one), one, 224)
        torch.testing.assert_close(whole[i : i + 1], alone, atol=1e-5, rtol=0)


def test_a_generator_decides_everything(noise: Tensor) -> None:
    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return augment(noise, size=32, strength=1.0, generator=generator)

    first = run(3)
    torch.manual_seed(99)
    assert torch.equal(first, run(3))
    assert not torch.equal(first, run(4))


def test_images_of_a_batch_are_augmented_independently(noise: Tensor) -> None:
    same = noise[:1].expand(N, -1, -1, -1)
    out = augment(same, size=32, strength=1.0)
    assert all(not torch.allclose(out[0], other, atol=1e-3) for other in out[1:])


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_drawn_parameters_fill_their_ranges(strength: float) -> None:
    drawn = sample_params(20_000, strength, torch.Generator().manual_seed(0), "cpu")
    for values, middle, reach in (
        (drawn.brightness, 1.0, 0.3),
        (drawn.contrast, 1.0, 0.3),
        (drawn.saturation, 1.0, 0.3),
        (drawn.hue, 0.0, 0.1),
        (drawn.angle, 0.0, 20.0),
    ):
        relative = (values - middle) / (reach * strength)
        assert -1.0001 <= relative.min() < -0.99
        assert 0.99 < relative.max() <= 1.0001
        assert abs(relative.mean().item()) < 0.02
    flipped = (drawn.mirror == -1).float().mean().item()
    assert flipped == pytest.approx(min(0.5, 0.5 * strength), abs=0.015)
    left, top, width, height = drawn.box.unbind(1)
    assert min(left.min(), top.min()) >= 0
    assert max((left + width).max(), (top + height).max()) <= 1.00001
    assert (width * height).min() >= 1 - 0.3 * strength - 1e-4
    assert (width / height).log().abs().max() <= strength * np.log(4 / 3) + 1e-4


def test_crops_are_distributed_like_torchvisions() -> None:
    drawn = sample_params(20_000, 1.0, torch.Generator().manual_seed(0), "cpu")
    left, top, width, height = drawn.box.unbind(1)
    torch.manual_seed(0)
    image = torch.empty(3, 2000, 2000)
    reference = torch.tensor(
        [RandomResizedCrop.get_params(image, [0.7, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    )
    their_top, their_left, their_height, their_width = (reference / 2000).unbind(1)
    quantiles = torch.linspace(0.05, 0.95, 10)
    for ours, theirs in (
        (width * height, their_width * their_height),
        (width / height, their_width / their_height),
        (left, their_left),
        (top, their_top),
    ):
        difference = torch.quantile(ours, quantiles) - torch.quantile(theirs, quantiles)
        assert difference.abs().max() < 0.015


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("source", "size", "crop_fraction"),
    [((64, 64), 96, 0.875), ((64, 64), 40, 0.875), ((50, 81), 64, 0.95), ((81, 50), 33, 1.0)],
)
def test_center_view_equals_torchvision(
    interpolation: Literal["bilinear", "bicubic"],
    source: tuple[int, int],
    size: int,
    crop_fraction: float,
) -> None:
    images = torch.randint(0, 256, (3, *source, 3), dtype=torch.uint8)
    mode = InterpolationMode(interpolation)
    resized = V.resize(images.permute(0, 3, 1, 2), [round(size / crop_fraction)], mode)
    expected = V.center_crop(resized, [size, size]).float() / 255
    out = center_view(images, size=size, crop_fraction=crop_fraction, interpolation=interpolation)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("strength", [-0.1, 3.01, float("nan")])
def test_strength_out_of_range_is_refused(noise: Tensor, strength: float) -> None:
    with pytest.raises(ValueError, match=r"0 <= strength <= 3.*got strength="):
        augment(noise, size=32, strength=strength)


@pytest.mark.parametrize("crop_fraction", [0.0, -1.0, 1.01, float("nan")])
def test_crop_fraction_out_of_range_is_refused(noise: Tensor, crop_fraction: float) -> None:
    with pytest.raises(ValueError, match="0 < crop_fraction <= 1"):
        center_view(noise, size=32, crop_fraction=crop_fraction, interpolation="bilinear")


def test_other_images_sizes_and_interpolations_are_refused(noise: Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \[B, H, W, 3\].*float32"):
        augment(noise.float(), size=32, strength=1)
    with pytest.raises(ValueError, match=r"shape \[6, 3, 20, 28\]"):
        augment(noise.permute(0, 3, 1, 2), size=32, strength=1)
    with pytest.raises(ValueError, match=r"shape \[20, 28, 3\]"):
        center_view(noise[0], size=32, crop_fraction=1, interpolation="bilinear")
    with pytest.raises(ValueError, match="size >= 1"):
        augment(noise, size=0, strength=1)
    with pytest.raises(ValueError, match="'nearest'"):
        center_view(noise, size=32, crop_fraction=1, interpolation="nearest")  # type: ignore[arg-type]
