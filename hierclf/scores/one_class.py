"""The one-class support vector machine: a boundary around the training images.

Shape legend: N images, M training images, V support vectors, D features, R reduced dimensions.
"""

import numpy as np

from hierclf.scores.base import Floats, State
from hierclf.scores.pca import fit_pca, project
from hierclf.scores.rows import by_chunks, stratified_rows, unit_rows

NU = 0.1
GAMMA = 10.0
# The fit's time grows with the square of the number of images.
ONE_CLASS_LIMIT = 10_000


def fit_one_class(
    features: np.ndarray, labels: np.ndarray, *, nu: float = NU, limit: int = ONE_CLASS_LIMIT
) -> State:
    """Fit a one-class SVM to unit features reduced to at most 64 principal components.

    The reduced features are scaled to length 1 again: novel images have small components along the
    directions in which known images vary, so that they would lie at the centre, inside the
    boundary. The kernel is exp(-gamma |a - b|^2) with gamma = 10 / (R * variance of all
    coordinates), ten times scikit-learn's "scale", whose kernel is wider than the distance between
    classes.

    Args:
        features: float [M, D].
        labels: int [M], used to keep each class's fraction in a sample.
        nu: in (0, 1), about the fraction of training images outside the boundary.
        limit: of more training images than this a stratified sample is used.

    Returns:
        pca_mean [D], pca_axes [D, R]: float32. support [V, R], dual [V], intercept [1], gamma [1]:
        float64.

    Raises:
        ValueError: the features do not vary, `nu` or `limit` out of range.
    """
    # Imported here: slow to import, and prediction does not need it.
    from sklearn.svm import OneClassSVM

    if not 0.0 < nu < 1.0:
        raise ValueError(f"`0 < nu < 1` must hold, but got nu={nu}")
    if limit < 2:
        raise ValueError(f"`limit >= 2` must hold, but got limit={limit}")
    reduction = fit_pca(features)
    rows = stratified_rows(labels, limit=limit, seed=0)
    points = unit_rows(project(reduction, features)).astype(np.float64)
    gamma = GAMMA / (points.shape[1] * float(points.var()))
    model = OneClassSVM(kernel="rbf", gamma=gamma, nu=nu).fit(points[rows])
    return reduction | {
        "support": np.ascontiguousarray(model.support_vectors_),
        "dual": np.ascontiguousarray(model.dual_coef_[0]),
        "intercept": np.asarray(model.intercept_),
        "gamma": np.array([gamma]),
    }


def score_one_class(state: State, features: np.ndarray) -> Floats:
    """Minus the decision function: above 0 outside the boundary, bounded far from it.

    Schölkopf et al. 2001, "Estimating the Support of a High-Dimensional Distribution":
    -(sum_v dual_v k(x, support_v) + intercept).

    Args:
        state: from `fit_one_class`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    support, gamma = state["support"], state["gamma"]

    def minus_decision(rows: np.ndarray) -> np.ndarray:
        points = unit_rows(project(state, rows)).astype(np.float64)
        squares = (points**2).sum(axis=1)[:, None] + (support**2).sum(axis=1)
        squares -= 2 * points @ support.T
        return -(np.exp(-gamma * np.maximum(squares, 0.0)) @ state["dual"] + state["intercept"])

    cells = 4 * (len(state["pca_mean"]) + len(support))
    return by_chunks(minus_decision, features, cells=cells)
