"""Small pictures inside a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128
"""Of a thumbnail, in pixels."""
_QUALITY = 72


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """An image, uint8 [H, W, 3], as a JPEG file of at most `SIDE` x `SIDE` pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()


def data_uri(jpeg: bytes) -> str:
    """A JPEG file as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
