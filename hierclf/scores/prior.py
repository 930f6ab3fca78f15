"""Scores that ask the classifier which the backbone's weights came with: ImageNet's, say.

It knows classes of its own. Images of one known class spread over these in much the same way; an
image of a novel class spreads in another one, even where the known classes' own head sees a
familiar shape.

Shape legend: N images, M training images, K known sub-classes, P classes of the prior.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from hierclf.scores.form import Floats, Score, ScoreInputs, State

CHUNK = 4096
# Mean probabilities are estimated from tens of images: below this they say nothing.
_SMALLEST = 1e-6
# A prior class counts as used in full from this mean probability on.
_USED = 0.2


def fit_prior_kl(prior_logits: np.ndarray, labels: np.ndarray) -> State:
    """Mean probabilities of the prior's classes over the training images of every known class.

    Args:
        prior_logits: float [M, P]. labels: int [M], any values.

    Returns:
        log_means: float32 [K, P].
    """
    return {"log_means": np.log(_means(prior_logits, labels) + _SMALLEST).astype(np.float32)}


def score_prior_kl(state: State, prior_logits: np.ndarray) -> Floats:
    """Kullback-Leibler divergence, in nats, to the nearest known class's mean probabilities.

    Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection for Real-World Settings" (KL
    matching), with the probabilities of the weights' own classifier in place of those of the
    network's head: min_k sum_j p_j (log p_j - log mean_kj).
    """
    log_means = state["log_means"].astype(np.float64)
    _check_classes(prior_logits, log_means.shape[1])
    parts = []
    for logits in _chunks(prior_logits):
        log_p = log_softmax(logits, axis=1)
        p = np.exp(log_p)
        parts.append((p * log_p).sum(axis=1) - (p @ log_means.T).max(axis=1))
    return np.concatenate(parts or [np.empty(0)]).astype(np.float32)


def fit_prior_mass(prior_logits: np.ndarray, labels: np.ndarray) -> State:
    """Which of the prior's classes known images use: used [P], in [0, 1].

    The largest mean probability that any known class gives to a prior class, in full from 0.2 on.

    Args:
        prior_logits: float [M, P]. labels: int [M], any values.
    """
    largest = _means(prior_logits, labels).max(axis=0)
    return {"used": np.minimum(largest / _USED, 1.0).astype(np.float32)}


def score_prior_mass(state: State, prior_logits: np.ndarray) -> Floats:
    """-log of the probability that the prior gives to classes that known images use, in nats."""
    used = state["used"].astype(np.float64)
    _check_classes(prior_logits, len(used))
    parts = [softmax(logits, axis=1) @ used for logits in _chunks(prior_logits)]
    mass = np.concatenate(parts or [np.empty(0)])
    return -np.log(np.clip(mass, 1e-9, 1.0)).astype(np.float32)


def prior_score(
    fit: Callable[[np.ndarray, np.ndarray], State], score: Callable[[State, np.ndarray], Floats]
) -> Score:
    """A score of the prior's logits; fitted on sub-classes, the same for both levels."""
    return Score(
        fit=lambda inputs, labels, level: fit(_logits(inputs), labels.sub_labels),
        score=lambda state, inputs, level: score(state, _logits(inputs)),
        per_level=False,
    )


def _logits(inputs: ScoreInputs) -> np.ndarray:
    if inputs.prior_logits is None:
        raise ValueError("`prior_logits` must be given for a score of the prior, but are not")
    return inputs.prior_logits


def _means(prior_logits: np.ndarray, labels: np.ndarray) -> NDArray[np.float64]:
    """Mean probabilities [K, P] of each label's images, labels ascending."""
    classes, index = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), prior_logits.shape[1]))
    start = 0
    for logits in _chunks(prior_logits):
        np.add.at(sums, index[start : start + len(logits)], softmax(logits, axis=1))
        start += len(logits)
    return sums / np.bincount(index)[:, None]


def _chunks(logits: np.ndarray) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(logits), CHUNK):
        yield logits[start : start + CHUNK].astype(np.float64)


def _check_classes(prior_logits: np.ndarray, n_classes: int) -> None:
    if prior_logits.shape[1] != n_classes:
        raise ValueError(
            f"`prior_logits` must have P={n_classes} as in training, "
            f"but got P={prior_logits.shape[1]}"
        )
