"""Probabilities that mean what they say: temperature scaling, and P(novel) from a score.

Fit on held-out rows, never on those that trained the network, whose logits are too sure.

Shape legend: N images, K classes of one level.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierclf.scores.softmax import log_softmax, sigmoid

TEMPERATURES = (0.05, 20.0)


class NovelCurve(NamedTuple):
    """A logistic curve: P(novel) = sigmoid(slope * score + offset).

    Attributes:
        slope: >= 0, per unit of the score.
        offset: log odds of novel at score 0.
    """

    slope: float
    offset: float


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T at which softmax(logits / T) gives the labels the highest likelihood.

    Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks"): T > 1 makes
    an overconfident network less sure; the most probable class stays the same.

    Args:
        logits: floats [N, K].
        labels: integers [N] in 0..K-1; rows of novel classes must be left out.

    Returns:
        T in [0.05, 20]. A bound is reached where the likelihood still rises there, as it does
        towards 0.05 if every row is right. 1 if no temperature is better than none.

    Raises:
        ValueError: no rows, logits that are not finite or not [N, K], or labels that are not
            integers [N] in 0..K-1.
    """
    # Here and below: prediction reads a fitted curve and must not wait for this import.
    from scipy.optimize import minimize_scalar

    values = np.asarray(logits, dtype=np.float64)
    classes = np.asarray(labels)
    if values.ndim != 2 or classes.shape != values.shape[:1]:
        raise ValueError(
            "`logits` and `labels` must be of shapes [N, K] and [N], "
            f"but got {values.shape} and {classes.shape}"
        )
    if not len(values):
        raise ValueError("a temperature needs at least one row, but got none")
    if not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"`labels` must be integers, but got {classes.dtype}")
    _check_finite("logits", values)
    outside = (classes < 0) | (classes >= values.shape[1])
    if outside.any():
        raise ValueError(
            f"`0 <= labels < {values.shape[1]}` must hold, but got {classes[outside][0]}"
        )
    rows = np.arange(len(values))

    def loss(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        return float(-log_softmax(scaled)[rows, classes].mean())

    # In log T the loss has one valley, and 0.1 and 10 are as far from 1.
    best = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded")
    # A flat loss, as of rows without any preference, would end anywhere.
    return float(np.exp(best.x)) if best.fun < loss(0.0) else 1.0


def fit_novel_probability(
    score: ArrayLike, is_novel: ArrayLike, *, novel_rate: float = 0.5
) -> NovelCurve:
    """Fit the curve that turns a score into the probability that an image is novel.

    Platt scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines"): a logistic
    curve of the highest likelihood, with the paper's targets (n + 1) / (n + 2) and 1 / (m + 2) for
    n novel and m known rows instead of 1 and 0, which keep the curve finite where the score
    separates the two. The curve never falls: a score that ranks known images higher gives slope 0.

    Args:
        score: floats [N], higher = more novel.
        is_novel: bool [N].
        novel_rate: share of novel images where the curve will be used, in (0, 1). Novel rows weigh
            this much in all, known rows the rest, however many there are of each.

    Returns:
        The curve, for raw scores. A flat one gives about `novel_rate` to every image.

    Raises:
        ValueError: no known or no novel rows, scores that are not finite or of another length than
            `is_novel`, or a `novel_rate` outside (0, 1).
    """
    from scipy.optimize import minimize

    scores = np.asarray(score, dtype=np.float64)
    novel = np.asarray(is_novel, dtype=bool)
    _check_rows(scores, novel, novel_rate)
    n_novel, n_known = int(novel.sum()), int((~novel).sum())
    target = np.where(novel, (n_novel + 1) / (n_novel + 2), 1 / (n_known + 2))
    weight = np.where(novel, novel_rate / n_novel, (1.0 - novel_rate) / n_known)
    # Scores of any unit become about 1 wide, which the search for the minimum needs.
    centre, width = scores.mean(), scores.std()
    if width <= 1e-12 * np.abs(scores).max():
        width = np.inf  # only rounding tells the rows apart, and the curve must not follow it
    wide = (scores - centre) / width

    def loss(curve: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = curve[0] * wide + curve[1]
        error = weight * (sigmoid(odds) - target)
        value = weight @ (np.logaddexp(0.0, odds) - target * odds)
        return float(value), np.array([error @ wide, error.sum()])

    fit = minimize(
        loss,
        x0=np.zeros(2),
        jac=True,
        bounds=[(0.0, None), (None, None)],
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    slope = float(fit.x[0] / width)
    return NovelCurve(slope, float(fit.x[1] - slope * centre))


def novel_probability(curve: NovelCurve, score: ArrayLike) -> NDArray[np.float32]:
    """The probability in [0, 1] that each image is novel, float32 [N].

    Args:
        curve: as `fit_novel_probability` gives it.
        score: floats [N], the score that the curve was fitted on.

    Raises:
        ValueError: scores that are not finite.
    """
    scores = np.asarray(score, dtype=np.float64)
    _check_finite("score", scores)
    return sigmoid(curve.slope * scores + curve.offset).astype(np.float32)


def _check_rows(scores: NDArray[np.float64], novel: NDArray[np.bool_], novel_rate: float) -> None:
    if scores.ndim != 1 or scores.shape != novel.shape:
        raise ValueError(
            "`score` and `is_novel` must be of one shape [N], "
            f"but got {scores.shape} and {novel.shape}"
        )
    if not 0.0 < novel_rate < 1.0:
        raise ValueError(f"`0 < novel_rate < 1` must hold, but got novel_rate={novel_rate}")
    _check_finite("score", scores)
    if novel.all() or not novel.any():
        raise ValueError(
            "a curve needs known and novel rows, "
            f"but got {(~novel).sum()} known and {novel.sum()} novel"
        )


def _check_finite(name: str, values: NDArray[np.float64]) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"`{name}` must be finite, but got {values[bad][0]}")
