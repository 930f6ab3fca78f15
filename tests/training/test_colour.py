"""Colour jitter, against torchvision's functional operations on float images."""

from collections.abc import Callable

import pytest
import torch
import torchvision.transforms.v2.functional as V
from torch import Tensor

from hierclf.training.colour import jitter

N = 6


@pytest.fixture
def noise() -> Tensor:
    """Every pixel independent, with greys, blacks, whites and pure colours among them."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (N, 20, 28, 3), dtype=torch.uint8, generator=generator)
    images[:, 0, :, :] = images[:, 0, :, :1]
    images[:, 1, :4] = 0
    images[:, 2, :4] = 255
    images[:, 3, :8] = torch.tensor([0, 255], dtype=torch.uint8)[images[:, 3, :8].long() % 2]
    return images


def as_float(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


def jittered(
    images: Tensor,
    *,
    brightness: float = 1.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    hue: float = 0.0,
) -> Tensor:
    factors = (brightness, contrast, saturation, hue)
    return jitter(images, *(torch.full((len(images),), factor) for factor in factors))


@pytest.mark.parametrize("factor", [0.0, 0.7, 1.0, 1.3, 1.9])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("brightness", V.adjust_brightness),
        ("contrast", V.adjust_contrast),
        ("saturation", V.adjust_saturation),
    ],
)
def test_jitter_equals_torchvision(
    noise: Tensor, name: str, reference: Callable[[Tensor, float], Tensor], factor: float
) -> None:
    expected = reference(as_float(noise), factor)
    actual = jittered(noise, **{name: factor})
    torch.testing.assert_close(actual, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("turns", [-0.5, -0.3, -0.1, 0.0, 0.04, 0.1, 0.3, 0.5])
def test_hue_equals_torchvision(noise: Tensor, turns: float) -> None:
    expected = V.adjust_hue(as_float(noise), turns)
    torch.testing.assert_close(jittered(noise, hue=turns), expected, atol=5e-6, rtol=0)


def test_every_hue_of_the_wheel_is_turned_right() -> None:
    levels = torch.arange(0, 256, 15, dtype=torch.uint8)
    cube = torch.cartesian_prod(levels, levels, levels).view(1, -1, 1, 3)
    for turns in torch.linspace(-0.5, 0.5, 21).tolist():
        expected = V.adjust_hue(as_float(cube), turns)
        torch.testing.assert_close(jittered(cube, hue=turns), expected, atol=5e-6, rtol=0)


def test_neutral_factors_change_nothing(noise: Tensor) -> None:
    torch.testing.assert_close(jittered(noise), as_float(noise), atol=1e-6, rtol=0)
