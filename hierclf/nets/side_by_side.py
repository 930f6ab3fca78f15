"""Several backbones on one image, and their features side by side.

Each has its own size, crop, interpolation and normalisation, so that its features are those that it
has alone. Each is then brought to the same length: none outweighs another.

Shape legend: B images, H side of the decoded images, M backbones, D features of all together.
"""

import re
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hierclf.nets.inference import images_at_a_time
from hierclf.nets.preprocessing import center_view, normalise

AND = " + "
_MEMBER = re.compile(r"(.+)@(\d{2,4}):(\d?\.?\d+)")


class Named(NamedTuple):
    """One of several backbones: its name, the side of its images in pixels, and their crop."""

    name: str
    image_size: int
    crop_fraction: float


class Part(NamedTuple):
    """One of several backbones, built.

    Attributes:
        module: normalised images to features.
        n_features: how many.
        named: its name and view.
        interpolation: how its images are resized.
        mean, std: normalisation of images in [0, 1].
    """

    module: nn.Module
    n_features: int
    named: Named
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def are_several(name: str) -> bool:
    """Whether a backbone's name is that of several."""
    return AND in name


def members_of(name: str) -> list[Named]:
    """The backbones that a text such as `a@224:0.875 + b@260:1` names.

    Raises:
        ValueError: another form, or a view out of range.
    """
    found = []
    for text in name.split(AND):
        match = _MEMBER.fullmatch(text)
        size, crop = (int(match[2]), float(match[3])) if match else (0, 0.0)
        if match is None or not (16 <= size <= 1024 and 0.1 < crop <= 1):
            raise ValueError(
                f"one of several backbones must be NAME@SIZE:CROP, with a size in 16..1024 and a "
                f"crop in (0.1, 1], but got {text[:100]!r}"
            )
        found.append(Named(match[1], size, crop))
    return found


def weights_of(weights: str, count: int) -> list[str]:
    """The weights of each of several backbones.

    Raises:
        ValueError: neither one for all nor one for each.
    """
    each = weights.split(AND)
    if len(each) not in (1, count):
        raise ValueError(f"{count} backbones need 1 or {count} weights, but got {len(each)}")
    return each if len(each) == count else each * count


def equal_length(features: Tensor, length: float) -> Tensor:
    """Features [B, n] of one backbone, each row scaled to a length."""
    return length * functional.normalize(features, dim=1)


class SideBySide(nn.Module):
    """Decoded images in, features of all backbones out.

    The rows of each backbone have the length sqrt(D / M), so that a feature is about 1.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.members = nn.ModuleList(part.module for part in parts)
        self.described = [part._replace(module=nn.Identity()) for part in parts]
        self.length = (sum(part.n_features for part in parts) / len(parts)) ** 0.5
        for i, part in enumerate(parts):
            self.register_buffer(f"mean{i}", torch.tensor(part.mean).view(1, 3, 1, 1))
            self.register_buffer(f"std{i}", torch.tensor(part.std).view(1, 3, 1, 1))
        self.start_clocks()

    def start_clocks(self) -> None:
        """Forget how many images were seen and how long each backbone took."""
        self.images, self.seconds = 0, [0.0] * len(self.members)

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, H] in [0, 1], of uint8 pixels as they were decoded, -> float [B, D]."""
        pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        self.images += len(pixels)
        return torch.cat([self._features(i, pixels) for i in range(len(self.members))], dim=1)

    def _features(self, i: int, pixels: Tensor) -> Tensor:
        start = time.perf_counter()
        how = self.described[i]
        few = images_at_a_time(how.named.image_size, pixels.device, most=len(pixels))
        found = []
        for some in pixels.split(few):
            view = center_view(
                some,
                size=how.named.image_size,
                crop_fraction=how.named.crop_fraction,
                interpolation=how.interpolation,
            )
            mean, std = (cast(Tensor, getattr(self, f"{name}{i}")) for name in ("mean", "std"))
            found.append(self.members[i](normalise(view, mean, std)))
        self.seconds[i] += time.perf_counter() - start
        return equal_length(torch.cat(found), self.length)

    def parts(self) -> list[Part]:
        """The backbones, each as it is alone."""
        return [
            part._replace(
                module=module,
                mean=tuple(cast(Tensor, getattr(self, f"mean{i}")).flatten().tolist()),
                std=tuple(cast(Tensor, getattr(self, f"std{i}")).flatten().tolist()),
            )
            for i, (part, module) in enumerate(zip(self.described, self.members, strict=True))
        ]
