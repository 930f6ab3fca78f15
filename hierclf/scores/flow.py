"""Density of training features by a normalizing flow of affine coupling layers (RealNVP).

Shape legend: N images, M training images, L coupling layers, H hidden units, D features, R reduced
dimensions.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from hierclf.scores.base import Floats, State
from hierclf.scores.pca import fit_pca, project
from hierclf.scores.rows import by_chunks, stratified_rows

FLOW_LIMIT = 20_000
# Added to every variance, as a fraction of the mean variance, so that rounding is not magnified.
_REGULARISATION = 1e-4
# A layer scales a coordinate by at most exp(2).
_LARGEST_LOG_SCALE = 2.0


def fit_flow(
    features: np.ndarray, labels: np.ndarray, *, limit: int = FLOW_LIMIT, seed: int = 0
) -> State:
    """Train a flow on unit features reduced to at most 64 principal components, standardised.

    Args:
        features: float [M, D].
        labels: int [M], used to keep each class's fraction in a sample.
        limit: of more training images than this a stratified sample trains the flow.
        seed: of the sample, the initial weights and the batches.

    Returns:
        pca_mean [D], pca_axes [D, R], scale [R], and the arrays of `train_couplings`, float32.

    Raises:
        ValueError: the features do not vary, or `limit` is below 2.
    """
    # Imports torch, which prediction does not need.
    from hierclf.scores.flow_training import train_couplings

    if limit < 2:
        raise ValueError(f"`limit >= 2` must hold, but got limit={limit}")
    reduction = fit_pca(features)
    points = project(reduction, features[stratified_rows(labels, limit=limit, seed=seed)])
    variances = points.var(axis=0)
    scale = (1.0 / np.sqrt(variances + _REGULARISATION * variances.mean())).astype(np.float32)
    couplings = train_couplings((points * scale).astype(np.float32), seed=seed)
    return reduction | {"scale": scale} | couplings


def score_flow(state: State, features: np.ndarray) -> Floats:
    """Minus the log-likelihood of the reduced features, in nats; any sign.

    Dinh et al. 2017, "Density estimation using Real NVP". Far from the training images it grows
    with the square of the distance, since scales and shifts of the layers are bounded.

    Args:
        state: from `fit_flow`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    scale = state["scale"].astype(np.float64)
    constant = 0.5 * len(scale) * np.log(2 * np.pi) - np.log(scale).sum()

    def minus_log_likelihood(rows: np.ndarray) -> np.ndarray:
        ends, log_determinants = through_couplings(state, project(state, rows) * scale, np)
        return 0.5 * (ends**2).sum(axis=1) - log_determinants + constant

    cells = 4 * len(state["pca_mean"]) + 16 * len(scale) + 4 * state["first"].shape[-1]
    return by_chunks(minus_log_likelihood, features, cells=cells)


def through_couplings(weights: Mapping[str, Any], points: Any, library: ModuleType) -> Any:
    """Map points to where they are standard normal, if the flow fits.

    Each layer keeps the coordinates of its mask; a small network reads them and scales and shifts
    the others.

    Args:
        weights: mask [L, R], 1 for kept coordinates; first [L, R, H] and first_bias [L, H], last
            [L, H, 2 R] and last_bias [L, 2 R] of the networks. Arrays, or tensors for training.
        points: float [N, R].
        library: numpy for arrays, torch for tensors.

    Returns:
        The mapped points, [N, R], and the log-determinant of the map's Jacobian at each, [N].
    """
    names = ("mask", "first", "first_bias", "last", "last_bias")
    log_determinants = 0.0
    for mask, first, first_bias, last, last_bias in zip(*(weights[n] for n in names), strict=True):
        hidden = library.tanh((points * mask) @ first + first_bias)
        outputs = hidden @ last + last_bias
        width = len(mask)
        log_scale = _LARGEST_LOG_SCALE * library.tanh(outputs[:, :width]) * (1.0 - mask)
        points = points * library.exp(log_scale) + outputs[:, width:] * (1.0 - mask)
        log_determinants = log_determinants + log_scale.sum(axis=1)
    return points, log_determinants
