"""Views of decoded images, as the network takes them."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hierclf.data.preprocessing import center_geometry


def center_view(
    images: Tensor,
    *,
    size: int,
    crop_fraction: float,
    interpolation: Literal["bilinear", "bicubic"],
) -> Tensor:
    """The view of evaluation: resize, with antialiasing, and centre crop.

    The shorter side becomes round(size / crop_fraction) pixels, then the central square is cut
    out. The same values as torchvision's resize and center_crop on uint8 images.

    Args:
        images: uint8 [B, H, W, 3].
        size: side of the output in pixels, at least 1.
        crop_fraction: above 0, at most 1; 1 cuts nothing off the shorter side.
        interpolation: what the weights were trained for.

    Returns:
        float32 [B, 3, size, size] in [0, 1], channels_last.

    Raises:
        ValueError: images of another type or shape, or an option out of range.
    """
    check_pixels(images, size)
    if not 0 < crop_fraction <= 1:
        raise ValueError(f"`0 < crop_fraction <= 1` must hold, but got {crop_fraction=}")
    if interpolation not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolation must be bilinear or bicubic, but got {interpolation!r}")
    at = center_geometry(*images.shape[1:3], size=size, crop_fraction=crop_fraction)
    resized = resize(images, (at.height, at.width), interpolation)
    return to_input(resized[:, at.top : at.top + size, at.left : at.left + size])


def check_pixels(images: Tensor, size: int) -> None:
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[-1] != 3:
        raise ValueError(
            "images must be uint8 of shape [B, H, W, 3], "
            f"but got {images.dtype} of shape {list(images.shape)}"
        )
    if size < 1:
        raise ValueError(f"`size >= 1` must hold, but got size={size}")


def resize(images: Tensor, shape: tuple[int, int], interpolation: str) -> Tensor:
    """Resizes uint8 [B, H, W, 3] to uint8 [B, *shape, 3] with antialiasing."""
    if tuple(images.shape[1:3]) == shape:
        return images
    # uint8 kernels exist on CPUs only (and are several times as fast as float ones there).
    source = images.permute(0, 3, 1, 2)
    if images.device.type != "cpu":
        source = source.float()
    resized = F.interpolate(source, shape, mode=interpolation, align_corners=False, antialias=True)
    if resized.dtype != torch.uint8:
        resized = resized.round_().clamp_(0, 255).to(torch.uint8)
    return resized.permute(0, 2, 3, 1)


def to_input(images: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] to float32 [B, 3, H, W] in [0, 1], channels_last."""
    output = allocate(tuple(images.shape), images.device)
    return output.copy_(images).div_(255).permute(0, 3, 1, 2)


def allocate(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """An uninitialised float32 tensor.

    On a CPU it is NumPy's memory, for which NumPy asks the system for huge pages: first writes
    to the small pages of a large torch.empty can take longer than computing what is written.
    """
    if device.type == "cpu":
        return torch.from_numpy(np.empty(shape, np.float32))
    return torch.empty(shape, device=device)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(images - mean) / std, in one pass over the pixels.

    Args:
        images: float [B, 3, H, W] in [0, 1].
        mean: float [1, 3, 1, 1].
        std: float [1, 3, 1, 1], > 0.
    """
    return torch.addcmul(-mean / std, images, 1 / std)
