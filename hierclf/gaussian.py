"""Mahalanobis distance: how far an image lies from every class, in the classes' own spread.

Shape legend: N images, M training images, K classes of a level, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHUNK = 4096


def fit_mahalanobis(features: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Class means, and the covariance that all classes share, of unit features.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"; on
    unit features as in Müller & Hein 2025, "Mahalanobis++". The covariance is shrunk (Ledoit &
    Wolf 2004), so that it has an inverse however few images there are.

    Args:
        features: float [M, D]. labels: int [M], any values.

    Returns:
        whitening: float32 [D, D], maps features to where the covariance is the identity.
        means: float32 [K, D], the class means there.

    Raises:
        ValueError: within no class do the features vary.
    """
    # Imported here: it takes more than a second, and prediction does not need it.
    from sklearn.covariance import ledoit_wolf

    unit = unit_rows(features).astype(np.float64)
    classes, index = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), unit.shape[1]))
    np.add.at(sums, index, unit)
    means = sums / np.bincount(index)[:, None]
    covariance, _ = ledoit_wolf(unit - means[index], assume_centered=True)
    if not np.trace(covariance) > np.finfo(np.float32).eps:
        raise ValueError(
            "`features` must vary within a class to have a covariance, but got "
            f"{len(features)} images of {len(classes)} classes without any spread"
        )
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return {
        "whitening": whitening.astype(np.float32),
        "means": (means @ whitening).astype(np.float32),
    }


def score_mahalanobis(state: dict[str, np.ndarray], features: np.ndarray) -> NDArray[np.float32]:
    """Squared Mahalanobis distance to the nearest class mean, >= 0, without unit.

    Args:
        features: float [N, D].
    """
    whitening, means = state["whitening"], state["means"].astype(np.float64)
    if features.shape[1] != len(whitening):
        raise ValueError(
            f"`features` must have D={len(whitening)} as in training, got D={features.shape[1]}"
        )
    result = np.empty(len(features), dtype=np.float32)
    for start in range(0, len(features), CHUNK):
        rows = slice(start, start + CHUNK)
        white = (unit_rows(features[rows]) @ whitening).astype(np.float64)
        # |a - b|^2 expanded; in float64, since the terms nearly cancel.
        squares = (white**2).sum(axis=1)[:, None] + (means**2).sum(axis=1) - 2 * white @ means.T
        result[rows] = np.maximum(squares.min(axis=1), 0.0)
    return result


def unit_rows(features: np.ndarray) -> NDArray[np.float32]:
    """Rows scaled to length 1, float32; a row of zeros stays."""
    array = np.asarray(features, dtype=np.float32)
    norm = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.maximum(norm, np.finfo(np.float32).tiny)
