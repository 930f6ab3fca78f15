"""What of an image lies outside the subspace that training images fill.

Shape legend: N images, M training images, K classes of a level, D features, R left-out directions.
"""

from __future__ import annotations

import numpy as np

from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, ScoreInputs, State, logits_of
from hierclf.scores.logit import energy
from hierclf.scores.pca import principal_axes
from hierclf.scores.rows import by_chunks, check_width

EXPLAINED = 0.9


def fit_residual(features: np.ndarray, *, explained: float = EXPLAINED) -> State:
    """The directions outside the principal subspace of the training images.

    The rule for the subspace's dimension: as many components as hold `explained` of the variance,
    but fewer than the images span, so that something is left of them, too. (The paper takes fixed
    numbers for networks of fixed width.) Centred at the training mean; the paper centres at the
    point that the head's weights and bias send to zero, which a score of two heads does not have.

    Args:
        features: float [M, D], not scaled. explained: share of the variance, in (0, 1).

    Returns:
        mean: float32 [D]. rest: float32 [D, R], orthonormal columns, R >= 1.

    Raises:
        ValueError: the features do not vary.
    """
    if not 0.0 < explained < 1.0:
        raise ValueError(f"`0 < explained < 1` must hold, but got explained={explained}")
    found = principal_axes(features)
    share = np.cumsum(found.variances) / found.variances.sum()
    n_kept = min(int(np.searchsorted(share, explained)) + 1, found.rank - 1)
    return {
        "mean": found.mean.astype(np.float32),
        "rest": np.ascontiguousarray(found.axes[:, n_kept:], dtype=np.float32),
    }


def score_residual(state: State, features: np.ndarray) -> Floats:
    """Length of the centred feature's part outside the principal subspace, >= 0, in its units.

    Wang et al. 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching", their "Residual".

    Args:
        features: float [N, D].
    """
    mean, rest = state["mean"], state["rest"]
    check_width(features, len(mean))
    return by_chunks(
        lambda rows: np.linalg.norm((rows - mean) @ rest, axis=1), features, cells=2 * len(mean)
    )


def fit_vim(inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """`fit_residual`, and the factor that gives residuals the scale of the level's logits.

    alpha = mean largest logit / mean residual over the training images. Where the mean is below 0
    (a head that has learned nothing) alpha is 0: else a larger residual would mean less novel.

    Returns:
        mean, rest, and alpha: float32 [1], >= 0.
    """
    state = fit_residual(inputs.features)
    largest = logits_of(inputs, level).max(axis=1).mean(dtype=np.float64)
    residual = score_residual(state, inputs.features).mean(dtype=np.float64)
    return state | {"alpha": np.array([max(largest / residual, 0.0)], dtype=np.float32)}


def score_vim(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """alpha * residual - logsumexp(logits), in units of logits.

    Wang et al. 2022, "ViM: Out-Of-Distribution with Virtual-logit Matching": it orders images as
    the probability of the residual as one more class does.
    """
    return state["alpha"] * score_residual(state, inputs.features) + energy(
        logits_of(inputs, level)
    )
