"""Figures of one picture: how blurred, dark, pale or empty it is, from its pixels alone.

All but the size are taken from a reduced picture, so that they mean the same for pictures of 64 and
of 4,000 pixels, and cost little.

Sources: brightness by percentiles and entropy, the cleanvision package; blur, Crete et al., "The
blur effect: perception and estimation with a new no-reference perceptual blur metric", 2007.

Shape legend: H height, W width.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter1d

_SIDE = 64  # pixels of the reduced picture's longer side
_BOX = 5  # pixels of the box that blurs the reduced picture once more


class Measures(NamedTuple):
    """Figures of one picture.

    Attributes:
        width, height: in pixels.
        brightest: 99th percentile of grey levels, in [0, 1]; low for a dark picture.
        darkest: 5th percentile of grey levels, in [0, 1]; high for an overexposed one.
        entropy: of grey levels in bits, in [0, 8]; low for an empty picture.
        blur: in [0, 1]; 0.3 to 0.5 for sharp pictures, NaN for one without any structure.
    """

    width: float
    height: float
    brightest: float
    darkest: float
    entropy: float
    blur: float


def measure(image: NDArray[np.uint8]) -> Measures:
    """The figures of one picture, uint8 [H, W, 3]."""
    grey = Image.fromarray(image).convert("L")
    scale = _SIDE / max(grey.size)
    if scale < 1:
        width, height = (max(1, round(scale * length)) for length in grey.size)
        grey = grey.resize((width, height), Image.Resampling.BOX)
    levels = np.asarray(grey, dtype=np.float64)
    darkest, brightest = np.percentile(levels, [5, 99]) / 255
    return Measures(
        image.shape[1], image.shape[0], brightest, darkest, grey.entropy(), blur_of(levels)
    )


def blur_of(levels: NDArray[np.float64]) -> float:
    """How little another blur changes a picture, in [0, 1]: much in a sharp one, little in this.

    Args:
        levels: float64 [H, W], grey levels.

    Returns:
        The larger one of both directions; NaN where neighbours nowhere differ.
    """
    found = []
    for axis in (0, 1):
        steps = np.abs(np.diff(levels, axis=axis))
        blurred = np.abs(np.diff(uniform_filter1d(levels, _BOX, axis=axis), axis=axis))
        if steps.any():
            found.append(1 - np.maximum(0, steps - blurred).sum() / steps.sum())
    return float(max(found, default=np.nan))
