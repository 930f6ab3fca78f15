"""Ordinary colour JPEG files by simplejpeg, where it is installed: the pixels of Pillow, sooner."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, features


def fast_jpeg(data: bytes, image: Image.Image) -> NDArray[np.uint8] | None:
    """The pixels of a plain JPEG file, or None for whatever must take Pillow's way.

    Pillow keeps files that are grey, CMYK, turned by EXIF or of several pictures, and each file
    about which libjpeg has the least to say: what is damaged gets the same pixels, or the same
    error, as without simplejpeg.

    Args:
        data: the encoded image, whole.
        image: the same, opened by Pillow and not decoded.

    Returns:
        uint8 [H, W, 3], RGB, 0..255, writable and contiguous.
    """
    if image.format != "JPEG" or image.mode != "RGB" or _is_turned(image):
        return None
    if (decode_jpeg := _decoder()) is None:
        return None
    # Of the size that was checked: a file that shows Pillow another one cannot take more memory.
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    with suppress(ValueError, RuntimeError):
        if decode_jpeg(data, buffer=pixels).shape == pixels.shape:
            return pixels
    return None


def _is_turned(image: Image.Image) -> bool:
    with suppress(Exception):  # broken EXIF raises nearly anything, and turns nothing
        return image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    return False


@cache
def _decoder() -> Callable[..., NDArray[Any]] | None:
    """simplejpeg's; None where it is missing or a Pillow of another libjpeg decodes otherwise."""
    if not features.check_feature("libjpeg_turbo"):
        return None
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    return decode_jpeg
