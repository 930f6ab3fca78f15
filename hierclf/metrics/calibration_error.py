"""Expected calibration error.

Shape legend: N images.
"""

import numpy as np
from numpy.typing import ArrayLike


def expected_calibration_error(
    prob: ArrayLike, correct: ArrayLike, *, bins: int = 15
) -> float | None:
    """Expected calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks").

    The mean of |accuracy - mean probability| over bins, weighted by their rows. Bins have equal
    width, (0, 1/bins], (1/bins, 2/bins], ...; 0 is in the first.

    Args:
        prob: floats [N] in [0, 1], the probability of the predicted class.
        correct: bool [N], whether the prediction is right.
        bins: number of bins, >= 1.

    Returns:
        The error in [0, 1]; None without rows.

    Raises:
        ValueError: probabilities outside [0, 1], `bins < 1`, or lengths that differ.
    """
    probs = np.asarray(prob, dtype=np.float64)
    right = np.asarray(correct, dtype=bool)
    if probs.ndim != 1 or probs.shape != right.shape:
        raise ValueError(
            f"`prob` and `correct` must be of one shape [N], but got {probs.shape}, {right.shape}"
        )
    if bins < 1:
        raise ValueError(f"`bins >= 1` must hold, but got bins={bins}")
    inside = (probs >= 0.0) & (probs <= 1.0)
    if not inside.all():
        raise ValueError(f"`0 <= prob <= 1` must hold, but got prob={probs[~inside][0]}")
    if not len(probs):
        return None
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, probs, side="left") - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=right - probs, minlength=bins)
    return float(np.abs(gaps).sum() / len(probs))
