"""Heads in closed form: linear discriminant analysis of the features of a frozen backbone.

Classes are Gaussians of one covariance, all equally probable; the log-likelihood ratios are linear
in the features. With tens of images of a class, such heads tell more of them apart than heads
trained by gradient descent: images of all classes together estimate the covariance.

Sources: Fisher, "The Use of Multiple Measurements in Taxonomic Problems", 1936; Ledoit and Wolf,
"A well-conditioned estimator for large-dimensional covariance matrices", 2004, for the form of the
shrinkage.

Shape legend: M images, K classes of a level, D features.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

CHUNK = 4096
"""Images whose features are looked at together."""
MARGIN = 20.0
"""By how much, on average over pairs of classes, the logit of the right class is the larger one.

The likelihoods of a thousand features, which are not independent, differ by hundreds of nats: far
too sure. A margin fitted to validation images that are all right would be as large, and another one
in each fold, whose scores could not be compared then."""

FeaturesOf = Callable[[NDArray[np.int64]], np.ndarray]


class Moments(NamedTuple):
    """Sums over images.

    Attributes:
        counts: float64 [K], images of each class.
        sums: float64 [K, D], of their features.
        products: float64 [D, D], of x x^T over all images.
    """

    counts: NDArray[np.float64]
    sums: NDArray[np.float64]
    products: NDArray[np.float64]


def fit_heads(
    heads: Sequence[nn.Linear],
    features_of: FeaturesOf,
    labels: Sequence[NDArray[np.int64]],
    *,
    shrinkage: float,
) -> None:
    """Set weights and biases of linear heads on the same features.

    Args:
        heads: each of D features and as many logits as classes.
        features_of: from indices of images, int64 [m], to their features, float [m, D].
        labels: for each head int64 [M] in 0..K-1; each class has images.
        shrinkage: as of `discriminant`.
    """
    for head, moments in zip(heads, _moments(features_of, labels, heads), strict=True):
        weight, bias = discriminant(moments, shrinkage=shrinkage)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight))
            head.bias.copy_(torch.from_numpy(bias))


def discriminant(
    moments: Moments, *, shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [K, D] and bias [K] of a linear discriminant.

    The logits are proportional to the log-likelihoods of the classes, but for a term that all
    share: w_k = C^-1 m_k and b_k = -m_k C^-1 m_k / 2, with the class means m_k and the covariance
    C = (1 - shrinkage) C_0 + shrinkage trace(C_0) / D of images about the means of their classes.
    Where no class has any spread, C is the identity. The factor is the one of `MARGIN`.

    Args:
        moments: each class has images.
        shrinkage: in (0, 1].
    """
    n, width = moments.counts.sum(), moments.sums.shape[1]
    means = moments.sums / moments.counts[:, None]
    covariance = (moments.products - moments.sums.T @ means) / n
    variance = np.trace(covariance) / width
    # What rounding leaves of features that do not vary is no spread.
    if variance <= np.finfo(np.float32).eps * np.trace(moments.products) / (n * width):
        covariance, variance, shrinkage = np.zeros_like(covariance), 1.0, 1.0
    shrunk = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(width)
    weight = np.linalg.solve(shrunk, means.T).T
    bias = -(weight * means).sum(axis=1) / 2
    # At the mean of class i, logit i is larger than logit j by (w_i - w_j) (m_i - m_j) / 2. Over
    # all ordered pairs, the mean is that of w_i m_i - w_i m_j.
    products = weight @ means.T
    margin = (np.diag(products)[:, None] - products).sum() / max(1, products.size - len(products))
    factor = MARGIN / margin if margin > 0 else 1.0
    return factor * weight, factor * bias


def _moments(
    features_of: FeaturesOf, labels: Sequence[NDArray[np.int64]], heads: Sequence[nn.Linear]
) -> list[Moments]:
    """The moments of all images, for each head; all heads share the products."""
    width = heads[0].in_features
    products = np.zeros((width, width))
    counts = [np.zeros(head.out_features) for head in heads]
    sums = [np.zeros((head.out_features, width)) for head in heads]
    images = np.arange(len(labels[0]))
    for some in np.split(images, range(CHUNK, len(images), CHUNK)):
        rows = features_of(some).astype(np.float64)
        products += rows.T @ rows
        for count, own_sums, own in zip(counts, sums, labels, strict=True):
            count += np.bincount(own[some], minlength=len(count))
            np.add.at(own_sums, own[some], rows)
    return [Moments(count, own, products) for count, own in zip(counts, sums, strict=True)]
