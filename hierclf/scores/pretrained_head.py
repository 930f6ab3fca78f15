"""Scores from the classifier head that the backbone's weights were published with, ImageNet's say.

The head has classes of its own. Images of one known class spread over them in a typical way; an
image of a novel class spreads differently, even where the network's own heads see a familiar shape.

Shape legend: N images, M training images, K known sub-classes, P classes of the pretrained head,
D features.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, PretrainedHead, Score, ScoreInputs, State
from hierclf.scores.rows import check_width
from hierclf.scores.softmax import log_softmax, softmax

CHUNK = 4096
# Mean probabilities are estimated from tens of images: below this they are noise.
_SMALLEST = 1e-6
# A class of the head counts as fully used from this mean probability on.
_USED = 0.2


def fit_pretrained_kl(inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """Adapt the pretrained head, and average its probabilities over each known sub-class.

    Args:
        inputs: of M training images, with the pretrained head.
        labels: of the same images.
        level: not used; both levels share the score.

    Returns:
        weight [P, D] and bias [P] of the adapted head (see `adapt_head`) and log_means [K, P], all
        float32; rooted, as of `PretrainedHead`.

    Raises:
        ValueError: no pretrained head.
    """
    # Imports torch, which code that only lists scores does not need.
    from hierclf.scores.head_adaptation import adapt_head

    original = _head_of(inputs)
    means = mean_probabilities(original, inputs.features, labels.sub_labels)
    head = adapt_head(original, inputs.features, labels.sub_labels, means)
    adapted = mean_probabilities(head, inputs.features, labels.sub_labels)
    return _state_of(head) | {"log_means": np.log(adapted + _SMALLEST).astype(np.float32)}


def score_pretrained_kl(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """Kullback-Leibler divergence, in nats, to the nearest known class's mean probabilities.

    KL matching (Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection for Real-World
    Settings") with the probabilities of the pretrained head in place of those of the network's own:
    min_k sum_j p_j (log p_j - log mean_kj).

    Args:
        state: from `fit_pretrained_kl`.
        inputs: of N images.
        level: not used.

    Returns:
        float32 [N], about 0 or more; 0 for a known class's mean probabilities.
    """
    log_means = state["log_means"].astype(np.float64)
    parts = []
    for logits in _logits(head_in(state), inputs.features):
        log_p = log_softmax(logits)
        p = np.exp(log_p)
        parts.append((p * log_p).sum(axis=1) - (p @ log_means.T).max(axis=1))
    return np.concatenate(parts or [np.empty(0)]).astype(np.float32)


def fit_pretrained_mass(inputs: ScoreInputs, labels: Labels, level: Level) -> State:
    """Find the classes of the pretrained head that known images use.

    Args:
        inputs: of M training images, with the pretrained head.
        labels: of the same images.
        level: not used; both levels share the score.

    Returns:
        weight [P, D] and bias [P] of the head, and used [P] in [0, 1]: the largest mean probability
        that any known sub-class gives to a class, divided by 0.2 and at most 1. All float32;
        rooted, as of `PretrainedHead`.

    Raises:
        ValueError: no pretrained head.
    """
    head = _head_of(inputs)
    largest = mean_probabilities(head, inputs.features, labels.sub_labels).max(axis=0)
    return _state_of(head) | {"used": np.minimum(largest / _USED, 1.0).astype(np.float32)}


def score_pretrained_mass(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """-log of the probability that the pretrained head gives to classes known images use, in nats.

    Args:
        state: from `fit_pretrained_mass`.
        inputs: of N images.
        level: not used.

    Returns:
        float32 [N], in [0, 20.8].
    """
    used = state["used"].astype(np.float64)
    head = head_in(state)
    parts = [softmax(logits) @ used for logits in _logits(head, inputs.features)]
    mass = np.concatenate(parts or [np.empty(0)])
    return -np.log(np.clip(mass, 1e-9, 1.0)).astype(np.float32)


def pretrained_score(
    fit: Callable[[ScoreInputs, Labels, Level], State],
    score: Callable[[State, ScoreInputs, Level], Floats],
) -> Score:
    """A score of the pretrained head: fitted on sub-classes, the same for both levels."""

    def checked(state: State, inputs: ScoreInputs, level: Level) -> Floats:
        check_width(inputs.features, state["weight"].shape[1])
        return score(state, inputs, level)

    return Score(fit=fit, score=checked, per_level=False)


def mean_probabilities(
    head: PretrainedHead, features: np.ndarray, labels: np.ndarray
) -> NDArray[np.float64]:
    """Mean probabilities [K, P] over the images of each label, labels ascending.

    Args:
        head: a classifier of features.
        features: float [M, D].
        labels: int [M], any values.
    """
    classes, index = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(classes), len(head.bias)))
    start = 0
    for logits in _logits(head, features):
        np.add.at(sums, index[start : start + len(logits)], softmax(logits))
        start += len(logits)
    return sums / np.bincount(index)[:, None]


def _head_of(inputs: ScoreInputs) -> PretrainedHead:
    if inputs.pretrained_head is None:
        raise ValueError("`pretrained_head` must be given to fit a score of it, but is not")
    check_width(inputs.features, inputs.pretrained_head.weight.shape[1])
    return inputs.pretrained_head


def _state_of(head: PretrainedHead) -> State:
    return {"weight": head.weight, "bias": head.bias, "rooted": np.array(head.rooted)}


def head_in(state: State) -> PretrainedHead:
    """The head that a fitted score keeps: as published for mass, adapted for kl."""
    # Models of earlier versions do not say, and have no roots.
    return PretrainedHead(state["weight"], state["bias"], bool(state.get("rooted", False)))


def _logits(head: PretrainedHead, features: np.ndarray) -> Iterator[NDArray[np.float64]]:
    """The head's logits, chunk by chunk."""
    for start in range(0, len(features), CHUNK):
        rows = head.inputs(features[start : start + CHUNK])
        yield (rows @ head.weight.T + head.bias).astype(np.float64)
