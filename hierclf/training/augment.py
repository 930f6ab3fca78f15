"""Turns stored uint8 images into model input: training augmentation and the evaluation view.

Shape legend: B images, H x W stored size. Stored images are uint8 [B, H, W, 3]; model input is
float32 [B, 3, size, size] in [0, 1], channels_last. Everything works on the whole batch, on the
images' own device, and never makes the host wait for the device.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hierclf.nets.preprocessing import allocate, check_pixels, resize, to_input
from hierclf.training.colour import jitter

MAX_STRENGTH = 3.0

# The paper's recipe, which is strength 1.
_JITTER = 0.3  # brightness, contrast and saturation factors lie in 1 -+ _JITTER
_HUE = 0.1  # of a full turn
_ROTATION = 20.0  # degrees
CROP_LOSS = 0.3  # a crop keeps at least 1 - CROP_LOSS of the area
_LOG_RATIO = math.log(4 / 3)  # a crop's aspect ratio lies in 3/4 .. 4/3
_FLIP = 0.5

_CROP_TRIES = 10  # as in torchvision's RandomResizedCrop
_MAX_STEP = 1.5  # source pixels per output pixel that bilinear sampling takes without aliasing
_REDUCED_STEP = 1.25  # what larger steps are reduced to
_CPU_CHUNK = 1 << 17  # output pixels resampled at a time on a CPU


class AugmentParams(NamedTuple):
    """What happens to each image of a batch; every tensor is float32 on one device."""

    brightness: Tensor  # [B] factor >= 0
    contrast: Tensor  # [B] factor >= 0
    saturation: Tensor  # [B] factor >= 0
    hue: Tensor  # [B] turns in [-0.5, 0.5]
    box: Tensor  # [B, 4] crop: left, top, width, height as fractions of the image's sides
    mirror: Tensor  # [B] -1 for a horizontal flip, 1 for none
    angle: Tensor  # [B] degrees, counter-clockwise


def augment(
    images: Tensor, *, size: int, strength: float, generator: torch.Generator | None = None
) -> Tensor:
    """Randomly augments a batch for training.

    Strength 1 is the paper's recipe: random resized crop (70 to 100 % of the area, aspect ratio
    3/4 to 4/3), horizontal flip, colour jitter (0.3, 0.3, 0.3, 0.1), rotation by up to 20
    degrees. Other strengths scale every range; 0 only resizes the whole image to `size`.

    It differs from torchvision's chain in this: colours change at the stored size, before the
    crop (so the contrast's mean is that of the whole image), in the fixed order brightness,
    contrast, saturation, hue; and crop, flip and rotation are one bilinear resampling.

    Args:
        images: uint8 [B, H, W, 3].
        size: side of the output in pixels, at least 1.
        strength: 0 to 3.
        generator: source of all randomness, on any device; default: the images' device's own.

    Returns:
        float32 [B, 3, size, size] in [0, 1], channels_last.

    Raises:
        ValueError: images of another type or shape, size or strength out of range.
    """
    check_pixels(images, size)
    check_strength(strength)
    if strength == 0:
        return to_input(resize(images, (size, size), "bilinear"))
    params = sample_params(len(images), strength, generator, images.device)
    coloured = apply_colour(reduce_source(images, size), params)
    return apply_geometry(coloured, params, size)


def check_strength(strength: float) -> None:
    """Raise ValueError for a strength out of range."""
    if not 0 <= strength <= MAX_STRENGTH:
        raise ValueError(f"`0 <= strength <= 3` must hold, but got strength={strength}")


def sample_params(
    n_images: int,
    strength: float,
    generator: torch.Generator | None,
    device: torch.device | str,
) -> AugmentParams:
    """Draws the parameters of `n_images` independent augmentations.

    Crops follow torchvision's RandomResizedCrop (the first of ten proposals that fits, else the
    whole image), relative to the image's own aspect ratio: the same for a square image, and a
    smooth way to "the whole image" as the strength goes to 0 for any other.

    One uniform table is drawn on the generator's device, so a seed on the CPU gives the same
    augmentation whatever the images' device.
    """
    source = device if generator is None else generator.device
    n_rows = 8 + 2 * _CROP_TRIES
    table = torch.rand(n_rows, n_images, generator=generator, device=source)
    table = table.to(device, non_blocking=True)
    centred = 2 * table[:5] - 1
    left, top, flip = table[5:8]
    scale = 1 - CROP_LOSS * strength * table[8 : 8 + _CROP_TRIES]
    ratio = torch.exp(_LOG_RATIO * strength * (2 * table[8 + _CROP_TRIES :] - 1))
    width, height = (scale * ratio).sqrt_(), (scale / ratio).sqrt_()
    fits = (width <= 1) & (height <= 1)
    first = fits.to(torch.uint8).argmax(0, keepdim=True)
    whole = ~fits.any(0)
    width = width.gather(0, first)[0].masked_fill_(whole, 1.0)
    height = height.gather(0, first)[0].masked_fill_(whole, 1.0)
    return AugmentParams(
        brightness=1 + _JITTER * strength * centred[0],
        contrast=1 + _JITTER * strength * centred[1],
        saturation=1 + _JITTER * strength * centred[2],
        hue=_HUE * strength * centred[3],
        box=torch.stack([left * (1 - width), top * (1 - height), width, height], dim=1),
        mirror=1 - 2 * (flip < _FLIP * min(1.0, strength)).float(),
        angle=_ROTATION * strength * centred[4],
    )


def reduce_source(images: Tensor, size: int) -> Tensor:
    """Shrinks, with antialiasing, sides that are much longer than `size`.

    `apply_geometry` samples bilinearly and would alias there; colours get cheaper, too.
    uint8 [B, H, W, 3] to uint8 [B, H', W', 3], the same tensor where nothing is to do.
    """
    reduced = round(_REDUCED_STEP * size)
    height, width = (reduced if n > _MAX_STEP * size else n for n in images.shape[1:3])
    return resize(images, (height, width), "bilinear")


def apply_colour(images: Tensor, params: AugmentParams) -> Tensor:
    """Colour jitter: uint8 [B, H, W, 3] to float32 [B, 3, H, W] (see `colour.jitter`)."""
    return jitter(images, *params[:4])


def apply_geometry(images: Tensor, params: AugmentParams, size: int) -> Tensor:
    """Crop, horizontal flip and rotation about the centre as one bilinear resampling.

    What rotation brings in from beyond the crop is black, as in torchvision's chain. That edge
    is as sharp as the source's pixels, not the output's.

    Args:
        images: float32 [B, 3, H, W], with sides at most 1.5 times `size` (see `reduce_source`).
        params: parameters of the B images.
        size: side of the output in pixels.

    Returns:
        float32 [B, 3, size, size] in the range of the images, channels_last.
    """
    n_images, _, height, width = images.shape
    source = _framed(images, params.box)
    along, across, offset = _affine(params, height, width)
    centres = (2 * torch.arange(size, device=images.device) + 1) / size - 1
    output = allocate((n_images, size, size, 3), images.device).permute(0, 3, 1, 2)
    # On a CPU the temporaries of a whole batch fall out of the cache and, above 32 MB each, are
    # fresh pages from the system every time: up to twice the time. Hence a few images at a time.
    chunk = n_images
    if images.device.type == "cpu":
        chunk = max(_CPU_CHUNK // size**2, 1)
    for start in range(0, n_images, chunk):
        part = slice(start, start + chunk)
        # A plane of x and one of y: five times as fast as affine_grid's matrix products.
        in_rows = along[part, :, None, None] * centres
        in_columns = (across[part, :, None] * centres + offset[part, :, None])[..., None]
        grid = (in_rows + in_columns).permute(0, 2, 3, 1)
        output[part] = F.grid_sample(source[part], grid, mode="bilinear", align_corners=False)
    return output


def _framed(images: Tensor, box: Tensor) -> Tensor:
    """Blackens what lies beyond the crop, and adds a pixel all round: [B, 3, H + 2, W + 2].

    Done here, where pixels are few, rather than on the output. A ring of one pixel about the
    crop stays, for interpolation at its edge; at the image's edge that ring is the added one.
    """
    height, width = images.shape[2:]
    left, top, box_width, box_height = box.unsqueeze(-1).unbind(1)
    x = (torch.arange(width + 2, device=images.device) - 0.5) / width  # centres, as fractions
    y = (torch.arange(height + 2, device=images.device) - 0.5) / height
    inside_x = (x > left - 1 / width) & (x < left + box_width + 1 / width)
    inside_y = (y > top - 1 / height) & (y < top + box_height + 1 / height)
    inside = inside_y.float()[:, :, None] * inside_x.float()[:, None, :]
    planes = F.pad(images.transpose(0, 1), (1, 1, 1, 1), mode="replicate")
    return planes.mul_(inside).transpose(0, 1)


def _affine(params: AugmentParams, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The map from output to framed source, both in [-1, 1]: along * x + across * y + offset.

    Each of the three is [B, 2] (x and y of the source). An output point is turned back, then
    mirrored, then placed in the crop box.
    """
    radians = torch.deg2rad(params.angle)
    cos, sin = torch.cos(radians), torch.sin(radians)
    left, top, box_width, box_height = params.box.unbind(1)
    scale_x = box_width * (width / (width + 2))
    scale_y = box_height * (height / (height + 2))
    along = torch.stack([params.mirror * scale_x * cos, scale_y * sin], dim=1)
    across = torch.stack([-params.mirror * scale_x * sin, scale_y * cos], dim=1)
    centre_x = 2 * ((left + box_width / 2) * width + 1) / (width + 2) - 1
    centre_y = 2 * ((top + box_height / 2) * height + 1) / (height + 2) - 1
    return along, across, torch.stack([centre_x, centre_y], dim=1)
