"""What happens to an image between decoder and network: the settings, checked."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hierclf.data.images import MAX_PIXELS

MAX_IMAGE_SIZE = 1024  # as in the configuration


@dataclass(frozen=True)
class Preprocessing:
    """From a decoded image to what the network takes.

    Attributes:
        height, width: of the decoded training images; other images are fitted to it first.
        image_size, crop_fraction, interpolation: of the evaluation view (`center_view`).

    Raises:
        ValueError: a value of another type or out of the range that a configuration may have.
    """

    height: int
    width: int
    image_size: int
    crop_fraction: float
    interpolation: Literal["bilinear", "bicubic"]

    def __post_init__(self) -> None:
        for name in ("height", "width", "image_size"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"`{name}` must be an integer >= 1, but got {value!r}")
        if self.height * self.width > MAX_PIXELS or self.image_size > MAX_IMAGE_SIZE:
            raise ValueError(
                f"`height * width <= {MAX_PIXELS}` and `image_size <= {MAX_IMAGE_SIZE}` must hold, "
                f"but got {self.height}, {self.width} and {self.image_size}"
            )
        if type(self.crop_fraction) not in (int, float) or not 0.1 < self.crop_fraction <= 1:
            raise ValueError(f"`crop_fraction` must be in (0.1, 1], but got {self.crop_fraction!r}")
        if self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError(
                f"`interpolation` must be bilinear or bicubic, but got {self.interpolation!r}"
            )


class Geometry(NamedTuple):
    """How the view of evaluation is cut: the size to resize to, then the corner of the square.

    Attributes:
        height, width: after resizing. top, left: first row and column of the square.
    """

    height: int
    width: int
    top: int
    left: int


def center_geometry(height: int, width: int, *, size: int, crop_fraction: float) -> Geometry:
    """The shorter side becomes round(size / crop_fraction), then the central square is cut out.

    The same integers as torchvision's resize and center_crop.

    Args:
        height, width: of the image.
        size: side of the square.
        crop_fraction: in (0, 1].
    """
    shorter = round(size / crop_fraction)
    longer = int(shorter * max(height, width) / min(height, width))
    new_height, new_width = (longer, shorter) if height > width else (shorter, longer)
    top, left = round((new_height - size) / 2), round((new_width - size) / 2)
    return Geometry(new_height, new_width, top, left)
