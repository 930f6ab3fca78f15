"""Scores that ask the classifier which the backbone's weights came with: ImageNet's, say.

It knows classes of its own. Images of one known class spread over these in much the same way; an
image of a novel class spreads in another one, even where the known classes' own head sees a
familiar shape.

Shape legend: N images, M training images, K known sub-classes, P classes of the prior, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, Prior, Score, ScoreInputs, State
from hierclf.scores.rows import check_width

CHUNK = 4096
# Mean probabilities are estimated from tens of images: below this they say nothing.
_SMALLEST = 1e-6
# A prior class counts as used in full from this mean probability on.
_USED = 0.2


def fit_prior_kl(inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """The adapted classifier, and its mean probabilities over the images of every known sub-class.

    Args:
        inputs: of M training images, with the prior.

    Returns:
        weight [P, D], bias [P]: see `adapt_prior`; log_means [K, P]; float32.

    Raises:
        ValueError: no prior.
    """
    # It trains, which takes torch; whoever only names scores must not wait for that.
    from hierclf.scores.head_adaptation import adapt_prior

    before = _given(inputs)
    raw = mean_probabilities(before, inputs.features, labels.sub_labels)
    prior = adapt_prior(before, inputs.features, labels.sub_labels, raw)
    means = mean_probabilities(prior, inputs.features, labels.sub_labels)
    return prior._asdict() | {"log_means": np.log(means + _SMALLEST).astype(np.float32)}


def score_prior_kl(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """Kullback-Leibler divergence, in nats, to the nearest known class's mean probabilities.

    Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection for Real-World Settings" (KL
    matching), with the probabilities of the weights' own classifier in place of those of the
    network's head: min_k sum_j p_j (log p_j - log mean_kj).
    """
    log_means = state["log_means"].astype(np.float64)
    parts = []
    for logits in _logits(Prior(state["weight"], state["bias"]), inputs.features):
        log_p = log_softmax(logits, axis=1)
        p = np.exp(log_p)
        parts.append((p * log_p).sum(axis=1) - (p @ log_means.T).max(axis=1))
    return np.concatenate(parts or [np.empty(0)]).astype(np.float32)


def fit_prior_mass(inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """The prior as it came, and which of its classes known images use: used [P], in [0, 1].

    The largest mean probability that any known sub-class gives to a class, in full from 0.2 on.

    Raises:
        ValueError: no prior.
    """
    prior = _given(inputs)
    largest = mean_probabilities(prior, inputs.features, labels.sub_labels).max(axis=0)
    return prior._asdict() | {"used": np.minimum(largest / _USED, 1.0).astype(np.float32)}


def score_prior_mass(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """-log of the probability that the prior gives to classes that known images use, in nats."""
    used = state["used"].astype(np.float64)
    prior = Prior(state["weight"], state["bias"])
    parts = [softmax(logits, axis=1) @ used for logits in _logits(prior, inputs.features)]
    mass = np.concatenate(parts or [np.empty(0)])
    return -np.log(np.clip(mass, 1e-9, 1.0)).astype(np.float32)


def prior_score(
    fit: Callable[[ScoreInputs, Labels, Level], State],
    score: Callable[[State, ScoreInputs, Level], Floats],
) -> Score:
    """A score of the prior; fitted on sub-classes, the same for both levels."""

    def checked(state: State, inputs: ScoreInputs, level: Level) -> Floats:
        check_width(inputs.features, state["weight"].shape[1])
        return score(state, inputs, level)

    return Score(fit=fit, score=checked, per_level=False)


def _given(inputs: ScoreInputs) -> Prior:
    if inputs.prior is None:
        raise ValueError("`prior` must be given to fit a score of the prior, but is not")
    check_width(inputs.features, inputs.prior.weight.shape[1])
    return inputs.prior


def mean_probabilities(
    prior: Prior, features: np.ndarray, labels: np.ndarray
) -> NDArray[np.float64]:
    """Mean probabilities [K, P] of each label's images, labels ascending."""
    classes, index = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), len(prior.bias)))
    start = 0
    for logits in _logits(prior, features):
        np.add.at(sums, index[start : start + len(logits)], softmax(logits, axis=1))
        start += len(logits)
    return sums / np.bincount(index)[:, None]


def _logits(prior: Prior, features: np.ndarray) -> Iterator[NDArray[np.float64]]:
    """The prior's logits, some rows at a time."""
    for start in range(0, len(features), CHUNK):
        rows = np.asarray(features[start : start + CHUNK], dtype=np.float32)
        yield (rows @ prior.weight.T + prior.bias).astype(np.float64)
