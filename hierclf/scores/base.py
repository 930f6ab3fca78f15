"""The common form of all novelty scores.

`fit` takes known training images once and returns plain arrays (the score's state, which
safetensors can hold); `score` maps state, features and logits to one float32 per image. Logits are
those of known classes only: a head's extra "novel" unit is removed before, and column i belongs to
the i-th known class in ascending order.

Shape legend: N images, M training images, S super-classes, C sub-classes, K classes of a level,
P classes of the pretrained head, D features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import Level
from hierclf.scores.rows import by_chunks

Floats = NDArray[np.float32]
State = dict[str, np.ndarray]
_TEMPORARIES = 8  # floats that a function of logits takes for each of them: four arrays of float64


class PretrainedHead(NamedTuple):
    """The classifier head that the backbone's weights were published with.

    Its logits are features @ weight.T + bias, where features are those that the weights give.

    Attributes:
        weight: float32 [P, D]. bias: float32 [P].
        rooted: whether the features at hand are their square roots (see `hierclf.nets.root`).
    """

    weight: np.ndarray
    bias: np.ndarray
    rooted: bool = False

    def inputs(self, features: np.ndarray) -> NDArray[np.float32]:
        """What the head takes, float32 [N, D], of the features at hand, [N, D]."""
        rows = np.asarray(features, dtype=np.float32)
        return rows * np.abs(rows) if self.rooted else rows


class ScoreInputs(NamedTuple):
    """What scores are computed from: the network's outputs.

    Attributes:
        features: float32 [N, D].
        super_logits: float32 [N, S].
        sub_logits: float32 [N, C].
        pretrained_head: the classifier head of the published weights; only fits use it.
    """

    features: np.ndarray
    super_logits: np.ndarray
    sub_logits: np.ndarray
    pretrained_head: PretrainedHead | None = None


class Labels(NamedTuple):
    """Classes of training images, int [M] each; any values, with or without gaps."""

    super_labels: np.ndarray
    sub_labels: np.ndarray


@dataclass(frozen=True)
class Score:
    """One novelty score.

    Attributes:
        fit: (inputs of M known training images, labels, level) -> state.
        score: (state, inputs of N images, level) -> float32 [N], higher = more novel.
        per_level: False if both levels share the score, which is then fitted and computed once, at
            level "sub".
        refine: (state, inputs, labels, level) -> what a level adds to a state that both levels
            share: it is fitted once, at level "sub". Without it, each level is fitted by itself.
    """

    fit: Callable[[ScoreInputs, Labels, Level], State]
    score: Callable[[State, ScoreInputs, Level], Floats]
    per_level: bool = True
    refine: Callable[[State, ScoreInputs, Labels, Level], State] | None = None


def logit_score(function: Callable[[np.ndarray], Floats]) -> Score:
    """A score that is a function of a level's logits, without anything to fit.

    Args:
        function: float [N, K] -> float32 [N], each row by itself. It is called with some rows at a
            time, since it may work in float64.
    """

    def score(state: State, inputs: ScoreInputs, level: Level) -> Floats:
        logits = logits_of(inputs, level)
        return by_chunks(function, logits, cells=_TEMPORARIES * logits.shape[1])

    return Score(fit=lambda inputs, labels, level: {}, score=score)


def feature_score(
    fit: Callable[[np.ndarray, np.ndarray], State],
    score: Callable[[State, np.ndarray], Floats],
    *,
    per_level: bool = False,
) -> Score:
    """A score that uses features and no logits.

    Args:
        fit: (features [M, D], labels [M]) -> state.
        score: (state, features [N, D]) -> float32 [N].
        per_level: whether each level has its own; else it is fitted on sub-classes.
    """
    return Score(
        fit=lambda inputs, labels, level: fit(inputs.features, labels_of(labels, level)),
        score=lambda state, inputs, level: score(state, inputs.features),
        per_level=per_level,
    )


def logits_of(inputs: ScoreInputs, level: Level) -> np.ndarray:
    """The logits of a level's head, float32 [N, K]."""
    return {"super": inputs.super_logits, "sub": inputs.sub_logits}[level]


def labels_of(labels: Labels, level: Level) -> np.ndarray:
    """The labels of a level, int [M]."""
    return {"super": labels.super_labels, "sub": labels.sub_labels}[level]
