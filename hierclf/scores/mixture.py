"""Density of training features: a Gaussian per sub-class, with a shared covariance.

Shape legend: N images, M training images, K components, D features, R reduced dimensions.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierclf.scores.base import Floats, State
from hierclf.scores.mahalanobis import class_means
from hierclf.scores.pca import fit_pca, project
from hierclf.scores.rows import by_chunks
from hierclf.scores.softmax import logsumexp

COMPONENT_LIMIT = 64
# Added to every variance, as a fraction of the mean variance: classes of one image have no spread.
_REGULARISATION = 1e-4


def fit_mixture(features: np.ndarray, labels: np.ndarray) -> State:
    """Fit a Gaussian mixture to unit features reduced to at most 64 principal components.

    The covariance is shared ("tied"): there are too few images per class to estimate one each.
    Components start at the means of the classes (of the 64 largest if there are more), with their
    frequencies and common covariance, so that the fit is deterministic.

    Args:
        features: float [M, D].
        labels: int [M], sub-classes, any values.

    Returns:
        pca_mean [D], pca_axes [D, R]: float32. weights [K], means [K, R] and whitening [R, R],
        upper triangular, with inverse covariance whitening @ whitening.T: float64.

    Raises:
        ValueError: the features do not vary.
    """
    reduction = fit_pca(features)
    model = fitted_mixture(project(reduction, features), labels)
    return reduction | {
        "weights": model.weights_,
        "means": model.means_,
        "whitening": np.ascontiguousarray(model.precisions_cholesky_),
    }


def score_mixture(state: State, features: np.ndarray) -> Floats:
    """Minus the log-likelihood, in nats: -log sum_k w_k N(x; mean_k, covariance); any sign.

    Args:
        state: from `fit_mixture`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    whitening = state["whitening"]
    means = state["means"] @ whitening
    # log w_k plus the log of the normalising constant, which all components share
    offset = np.log(state["weights"]) + np.log(np.diag(whitening)).sum()
    offset = offset - 0.5 * len(whitening) * np.log(2 * np.pi)

    def minus_log_likelihood(rows: np.ndarray) -> np.ndarray:
        white = project(state, rows) @ whitening
        squares = (white**2).sum(axis=1)[:, None] + (means**2).sum(axis=1) - 2 * white @ means.T
        return -logsumexp(offset - 0.5 * squares)

    cells = 4 * (len(state["pca_mean"]) + len(means))
    return by_chunks(minus_log_likelihood, features, cells=cells)


def fitted_mixture(points: NDArray[np.float64], labels: np.ndarray) -> Any:
    """scikit-learn's GaussianMixture, fitted to points [M, R] with labels [M]."""
    # Imported here: slow to import, and prediction does not need it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = class_means(points, index)
    largest = np.sort(np.argsort(-counts, kind="stable")[:COMPONENT_LIMIT])
    regularisation = _REGULARISATION * points.var(axis=0).mean()
    spread = points - means[index]
    covariance = spread.T @ spread / len(points) + regularisation * np.eye(points.shape[1])
    model = GaussianMixture(
        n_components=len(largest),
        covariance_type="tied",
        reg_covar=regularisation,
        weights_init=counts[largest] / counts[largest].sum(),
        means_init=means[largest],
        precisions_init=np.linalg.inv(covariance),
        random_state=0,
    )
    with warnings.catch_warnings():
        # A fit that stopped just short of convergence is as good a score.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points)
