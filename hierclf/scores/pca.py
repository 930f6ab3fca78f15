"""Principal component analysis, for scores on fewer dimensions or on the residual.

Shape legend: N images, M training images, D features, R principal components.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.scores.base import State
from hierclf.scores.rows import check_width, unit_rows

PCA_LIMIT = 64
_EPS = float(np.finfo(np.float32).eps)


class Principal(NamedTuple):
    """Principal axes of features.

    Attributes:
        mean: float64 [D].
        variances: float64 [R], along the axes, descending.
        axes: float64 [D, R], orthonormal columns.
        rank: how many variances exceed float32 rounding, >= 1.
    """

    mean: NDArray[np.float64]
    variances: NDArray[np.float64]
    axes: NDArray[np.float64]
    rank: int


def principal_axes(features: np.ndarray, *, limit: int | None = None) -> Principal:
    """Eigenvectors of the covariance of features, by descending variance.

    Args:
        features: float [M, D].
        limit: the largest R; without it R = D, also where the images span fewer dimensions.

    Raises:
        ValueError: the features do not vary.
    """
    # Comes with scikit-learn, which prediction does not need.
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    points = np.asarray(features, dtype=np.float64)
    mean = points.mean(axis=0)
    size = float((points**2).sum(axis=1).mean())
    points = points - mean
    covariance, width = points.T @ points / len(points), points.shape[1]
    # On a busy machine, BLAS threads that wait for each other are far slower than a single one.
    with threadpool_limits(1):
        if limit is None or limit >= width:
            values, vectors = np.linalg.eigh(covariance)
        else:  # a few components take a fraction of the time of all
            from scipy.linalg import eigh  # prediction does not need it

            values, vectors = eigh(covariance, subset_by_index=[width - limit, width - 1])
    variances = np.maximum(values[::-1], 0.0)
    if not variances[0] > _EPS**2 * size:
        raise ValueError(
            "`features` must vary to have principal components, but got "
            f"{counted(len(features), 'image')} without any spread"
        )
    rank = int((variances > _EPS * variances[0]).sum())
    return Principal(mean, variances, vectors[:, ::-1], rank)


def fit_pca(features: np.ndarray, *, limit: int = PCA_LIMIT) -> State:
    """Principal components of unit features.

    Args:
        features: float [M, D]; their rows are scaled to length 1.
        limit: R is min(limit, rank).

    Returns:
        pca_mean: float32 [D]. pca_axes: float32 [D, R].

    Raises:
        ValueError: the features do not vary.
    """
    found = principal_axes(unit_rows(features), limit=limit)
    axes = found.axes[:, : found.rank]
    return {
        "pca_mean": found.mean.astype(np.float32),
        # safetensors writes memory as it is laid out.
        "pca_axes": np.ascontiguousarray(axes, dtype=np.float32),
    }


def project(state: State, features: np.ndarray) -> NDArray[np.float64]:
    """Coordinates float64 [N, R] of features [N, D] along the components of `fit_pca`."""
    check_width(features, len(state["pca_mean"]))
    centred = unit_rows(features).astype(np.float64) - state["pca_mean"]
    return centred @ state["pca_axes"].astype(np.float64)
