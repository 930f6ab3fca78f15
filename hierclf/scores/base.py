"""The one form of all novelty scores.

`fit` looks at known training images once and returns plain arrays (its state, which safetensors
can hold); `score` turns state, features and logits into one float32 an image. Logits are those of
known classes only: a head's extra "novel" unit is cut off before, and column i is the i-th of the
sorted known classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import Level

Floats = NDArray[np.float32]
State = dict[str, np.ndarray]


class PretrainedHead(NamedTuple):
    """The classifier head that the backbone's weights were published with.

    Its logits are features @ weight.T + bias.

    Attributes:
        weight: float32 [P, D]. bias: float32 [P].
    """

    weight: np.ndarray
    bias: np.ndarray


class ScoreInputs(NamedTuple):
    """What scores look at, float32: the network's features and what its heads say.

    Attributes:
        features: [N, D]. super_logits: [N, S]. sub_logits: [N, C].
        pretrained_head: the classifier head of the published weights; only fits use it.
    """

    features: np.ndarray
    super_logits: np.ndarray
    sub_logits: np.ndarray
    pretrained_head: PretrainedHead | None = None


class Labels(NamedTuple):
    """Classes of M training images, int [M] each; any values, so numbers may have gaps."""

    super_labels: np.ndarray
    sub_labels: np.ndarray


@dataclass(frozen=True)
class Score:
    """One novelty score.

    Attributes:
        fit: (inputs of M known training images, labels, level) -> state.
        score: (state, inputs of N images, level) -> float32 [N], higher = more novel.
        per_level: False if both levels' columns are the same numbers. Such a score is fitted and
            computed once, at level "sub".
    """

    fit: Callable[[ScoreInputs, Labels, Level], State]
    score: Callable[[State, ScoreInputs, Level], Floats]
    per_level: bool = True


def logit_score(function: Callable[[np.ndarray], Floats]) -> Score:
    """A score that is a pure function of a level's logits [N, K] and has nothing to fit."""
    return Score(
        fit=lambda inputs, labels, level: {},
        score=lambda state, inputs, level: function(logits_of(inputs, level)),
    )


def feature_score(
    fit: Callable[[np.ndarray, np.ndarray], State],
    score: Callable[[State, np.ndarray], Floats],
    *,
    per_level: bool = False,
) -> Score:
    """A score without logits: fit(features [M, D], labels [M]), score(state, features [N, D])."""
    return Score(
        fit=lambda inputs, labels, level: fit(inputs.features, labels_of(labels, level)),
        score=lambda state, inputs, level: score(state, inputs.features),
        per_level=per_level,
    )


def logits_of(inputs: ScoreInputs, level: Level) -> np.ndarray:
    """The logits of a level's head."""
    return {"super": inputs.super_logits, "sub": inputs.sub_logits}[level]


def labels_of(labels: Labels, level: Level) -> np.ndarray:
    """The labels of a level."""
    return {"super": labels.super_labels, "sub": labels.sub_labels}[level]
