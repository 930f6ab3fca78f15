"""Colour jitter of a batch of stored images: brightness, contrast, saturation and hue.

Shape legend: B images, H x W stored size.
"""

import torch
from torch import Tensor

_GRAY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, as in torchvision's rgb_to_grayscale


def jitter(
    images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor
) -> Tensor:
    """Brightness, contrast, saturation and hue, in this order, clamped after each.

    Equal to torchvision's adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue
    on float images, to float32 rounding.

    Args:
        images: uint8 [B, H, W, 3].
        brightness: float32 [B], factor >= 0.
        contrast: float32 [B], factor >= 0.
        saturation: float32 [B], factor >= 0.
        hue: float32 [B], turns in [-0.5, 0.5].

    Returns:
        float32 [B, 3, H, W] in [0, 1], to rounding. In memory the channels come first: each
        operation then runs over long contiguous planes.
    """
    n_images, height, width, _ = images.shape
    rgb = torch.empty((3, n_images, height, width), device=images.device)
    rgb.copy_(images.permute(3, 0, 1, 2))
    brightness, contrast, saturation, hue = (
        factor.view(-1, 1, 1) for factor in (brightness, contrast, saturation, hue)
    )
    rgb.mul_(brightness / 255).clamp_(max=1)
    red, green, blue = rgb.mean((2, 3))
    mean_gray = _gray(red, green, blue).view(-1, 1, 1)
    rgb.mul_(contrast).add_((1 - contrast) * mean_gray).clamp_(0, 1)
    gray = _gray(*rgb).mul_(1 - saturation)
    rgb.mul_(saturation).add_(gray).clamp_(0, 1)
    return _shift_hue(rgb, hue).transpose(0, 1)


def _gray(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    return (red * _GRAY[0]).add_(green, alpha=_GRAY[1]).add_(blue, alpha=_GRAY[2])


def _shift_hue(rgb: Tensor, turns: Tensor) -> Tensor:
    """Turns the HSV hue of float [3, B, H, W] by `turns` [B, 1, 1]; value and chroma stay.

    This is the exact HSV shift (a rotation of the chroma plane, as in YIQ, would change the
    saturation), written without the case distinctions of the usual conversion: they cost most
    of its time. Hue h is in sixths of a turn. Let t = (green + blue - 2 red) / chroma. On the
    colour hexagon |h|, the distance from red, is piecewise linear in t: it grows by 1/2 a unit
    for |t| <= 1, by 1 beyond, so |h| = 3/2 + t - clamp(t, -1, 1) / 2; and h > 0 on green's side.
    The way back: a channel whose own hue is d away from h has the value
    minimum + chroma * clamp(2 - d, 0, 1).
    """
    red, green, blue = rgb
    lowest = rgb.amin(0)
    # Grey has no hue: 0 / tiny gives some finite one, and the tiny chroma makes it harmless.
    chroma = rgb.amax(0).sub_(lowest).clamp_(min=1e-12)
    t = (green + blue).sub_(red, alpha=2).div_(chroma)
    hue = t.sub_(torch.clamp(t, -1, 1), alpha=0.5).add_(1.5).copysign_(green - blue)
    hue.add_(6 * turns)
    hue.sub_((hue / 6).round_(), alpha=6)  # into [-3, 3]
    own_hue = torch.tensor([0.0, 2.0, -2.0]).to(hue.device, non_blocking=True)
    # |h - own| is in [0, 5]; ||h - own| - 3| = 3 - d whichever way round is the shorter.
    weight = (hue - own_hue.view(3, 1, 1, 1)).abs_().sub_(3).abs_().clamp_(1, 2)
    return weight.mul_(chroma).add_(lowest.sub_(chroma))  # weight is larger by 1
