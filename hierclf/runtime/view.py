"""The view of an image that the network takes, cut by Pillow.

Shape legend: H x W size of a decoded image.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hierclf.data.images import fit_to
from hierclf.data.preprocessing import Preprocessing, center_geometry

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def center_view(pixels: NDArray[np.uint8], how: Preprocessing) -> NDArray[np.uint8]:
    """Resize with antialiasing and cut the centre out, as `hierclf.nets.preprocessing` does.

    torch's antialiased resampling of uint8 images is Pillow's: at most one level of 255 differs.

    Args:
        pixels: uint8 [H, W, 3].
        how: the model's preprocessing.

    Returns:
        uint8 [image_size, image_size, 3].
    """
    pixels, size = fit_to(pixels, how.height, how.width), how.image_size
    at = center_geometry(how.height, how.width, size=size, crop_fraction=how.crop_fraction)
    if pixels.shape[:2] != (at.height, at.width):
        image = Image.fromarray(pixels).resize((at.width, at.height), _FILTERS[how.interpolation])
        pixels = np.asarray(image)
    return pixels[at.top : at.top + size, at.left : at.left + size]
