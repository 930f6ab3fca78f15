"""The residual: the part of a feature vector outside the principal subspace of training images.

Shape legend: N images, M training images, K classes of a level, D features, R residual directions.
"""

import numpy as np

from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, Score, ScoreInputs, State, logits_of
from hierclf.scores.logit import energy
from hierclf.scores.pca import principal_axes
from hierclf.scores.rows import by_chunks, check_width

EXPLAINED = 0.9


def fit_residual(features: np.ndarray, *, explained: float = EXPLAINED) -> State:
    """The directions outside the principal subspace of the training images.

    The subspace has as many components as explain `explained` of the variance, but fewer than the
    images span, so that their residual is not zero. (The paper uses fixed numbers for networks of
    fixed width.) The origin is the training mean; the paper's is the point that the head's weights
    and bias map to zero, which two heads do not share.

    Args:
        features: float [M, D], not scaled.
        explained: fraction of the variance, in (0, 1).

    Returns:
        mean: float32 [D]. rest: float32 [D, R], orthonormal columns, R >= 1.

    Raises:
        ValueError: the features do not vary, or `explained` out of range.
    """
    if not 0.0 < explained < 1.0:
        raise ValueError(f"`0 < explained < 1` must hold, but got explained={explained}")
    found = principal_axes(features)
    cumulative = np.cumsum(found.variances) / found.variances.sum()
    n_kept = min(int(np.searchsorted(cumulative, explained)) + 1, found.rank - 1)
    return {
        "mean": found.mean.astype(np.float32),
        "rest": np.ascontiguousarray(found.axes[:, n_kept:], dtype=np.float32),
    }


def score_residual(state: State, features: np.ndarray) -> Floats:
    """Norm of the centred feature vector's residual, >= 0, in units of features.

    "Residual" of Wang et al. 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching".

    Args:
        state: from `fit_residual`.
        features: float [N, D].

    Raises:
        ValueError: another D than in training.
    """
    mean, rest = state["mean"], state["rest"]
    check_width(features, len(mean))
    return by_chunks(
        lambda rows: np.linalg.norm((rows - mean) @ rest, axis=1), features, cells=2 * len(mean)
    )


def scale_vim(state: State, inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """The factor that scales residuals to a level's logits.

    alpha = mean largest logit / mean residual over the training images; 0 where that is negative
    (an untrained head), since a larger residual must not lower the score.

    Args:
        state: of `fit_residual` of the same images.
        inputs: of M training images.
        labels: not used.
        level: whose logits.

    Returns:
        alpha: float32 [1], >= 0.
    """
    largest = logits_of(inputs, level).max(axis=1).mean(dtype=np.float64)
    residual = score_residual(state, inputs.features).mean(dtype=np.float64)
    return {"alpha": np.array([max(largest / residual, 0.0)], dtype=np.float32)}


def score_vim(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """alpha * residual - logsumexp(logits), in units of logits.

    Wang et al. 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching": the same order as the
    softmax probability of the residual as a virtual class.

    Args:
        state: of `fit_residual`, and alpha of `scale_vim` for the same level.
        inputs: of N images.
        level: whose logits.
    """
    return state["alpha"] * score_residual(state, inputs.features) + energy(
        logits_of(inputs, level)
    )


def vim_score() -> Score:
    """`fit_residual` for both levels, `scale_vim` for each, and `score_vim`."""
    return Score(
        lambda inputs, labels, level: fit_residual(inputs.features), score_vim, refine=scale_vim
    )
