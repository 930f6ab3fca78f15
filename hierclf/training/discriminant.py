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

from hierclf.rules.calibrators import fit_temperature

CHUNK = 4096
"""Images whose features are looked at together."""
_JUDGED = 20_000  # images that a temperature is fitted to: it is one number
_UNIT = 10.0  # logits of a thousand features are this much too large; it centres the search

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
    left_out: NDArray[np.bool_],
    *,
    shrinkage: float,
) -> None:
    """Set weights and biases of linear heads on the same features.

    The heads are fitted to all images. Their logits are divided by a temperature: that of heads
    fitted without the images left out, on these images.

    Args:
        heads: each of D features and as many logits as classes.
        features_of: from indices of images, int64 [m], to their features, float [m, D].
        labels: for each head int64 [M] in 0..K-1; each class has images that are not left out.
        left_out: bool [M].
        shrinkage: as of `discriminant`.
    """
    kept, others = np.flatnonzero(~left_out), np.flatnonzero(left_out)
    judged = others[:: len(others) // _JUDGED + 1]
    parts = (_moments(features_of, images, labels, heads) for images in (kept, others))
    for head, own, known, rest in zip(heads, labels, *parts, strict=True):
        weight, bias = discriminant(known, shrinkage=shrinkage)
        temperature = _temperature(features_of, judged, own, weight, bias)
        every = Moments(*(a + b for a, b in zip(known, rest, strict=True)))
        weight, bias = discriminant(every, shrinkage=shrinkage)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(weight / temperature))
            head.bias.copy_(torch.from_numpy(bias / temperature))


def discriminant(
    moments: Moments, *, shrinkage: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [K, D] and bias [K] of a linear discriminant.

    The logits are the log-likelihoods of the classes, but for a term that all share:
    w_k = C^-1 m_k and b_k = -m_k C^-1 m_k / 2, with the class means m_k and the covariance
    C = (1 - shrinkage) C_0 + shrinkage trace(C_0) / D of images about the means of their classes.
    Where no class has any spread, C is the identity.

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
    return weight, -(weight * means).sum(axis=1) / 2


def _moments(
    features_of: FeaturesOf,
    images: NDArray[np.int64],
    labels: Sequence[NDArray[np.int64]],
    heads: Sequence[nn.Linear],
) -> list[Moments]:
    """The moments of some images, for each head; all heads share the products."""
    width = heads[0].in_features
    products = np.zeros((width, width))
    counts = [np.zeros(head.out_features) for head in heads]
    sums = [np.zeros((head.out_features, width)) for head in heads]
    for some in _chunks(images):
        rows = features_of(some).astype(np.float64)
        products += rows.T @ rows
        for count, own_sums, own in zip(counts, sums, labels, strict=True):
            count += np.bincount(own[some], minlength=len(count))
            np.add.at(own_sums, own[some], rows)
    return [Moments(count, own, products) for count, own in zip(counts, sums, strict=True)]


def _temperature(
    features_of: FeaturesOf,
    images: NDArray[np.int64],
    labels: NDArray[np.int64],
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
) -> float:
    """The temperature of a head's logits on images that it was not fitted to; 10 without any."""
    if not len(images):
        return _UNIT
    logits = [features_of(some) @ weight.T + bias for some in _chunks(images)]
    return _UNIT * fit_temperature(np.concatenate(logits) / _UNIT, labels[images])


def _chunks(images: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(images, range(CHUNK, len(images), CHUNK))
