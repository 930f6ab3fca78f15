"""Novelty scores from logits and from features: higher = more novel.

Every score has one form, so that a new one is one entry in `SCORES`: `fit` looks at known training
images once and returns plain arrays (its state, which safetensors can hold); `score` turns state,
features and logits into one float32 an image. Logits are those of one level over its known classes
only: a head's extra "novel" unit is cut off before.

Shape legend: N images, M training images kept in a bank, K classes of a level, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from hierclf.gaussian import fit_mahalanobis, score_mahalanobis, unit_rows

Floats = NDArray[np.float32]
State = dict[str, np.ndarray]

LEVELS = ("super", "sub")
KNN_K = 5
KNN_BANK_LIMIT = 50_000
# Similarities of one chunk of images with the whole bank: 2**24 floats are 64 MiB.
CHUNK_CELLS = 2**24


class ScoreInputs(NamedTuple):
    """What scores look at: features [N, D], super_logits [N, S], sub_logits [N, C]; float32."""

    features: np.ndarray
    super_logits: np.ndarray
    sub_logits: np.ndarray


@dataclass(frozen=True)
class Score:
    """One novelty score.

    Attributes:
        fit: (features [M, D], logits [M, K], labels [M]) -> state; on known training images.
        score: (state, features [N, D], logits [N, K]) -> float32 [N], higher = more novel.
        per_level: False if logits play no part. Such a score is fitted once, on sub labels, and
            both levels' columns are the same numbers.
    """

    fit: Callable[[np.ndarray, np.ndarray, np.ndarray], State]
    score: Callable[[State, np.ndarray, np.ndarray], Floats]
    per_level: bool = True


def msp(logits: np.ndarray) -> Floats:
    """1 - maximum softmax probability, in [0, 1 - 1/K].

    Hendrycks & Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks". The paper's rule "probability < 0.7" is `msp > 0.3`.
    """
    # In float64: 1 - p in float32 would merge all confident images into a few values.
    return (1.0 - softmax(_float64(logits), axis=1).max(axis=1)).astype(np.float32)


def max_logit(logits: np.ndarray) -> Floats:
    """Minus the largest logit (Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection")."""
    return (-_float64(logits).max(axis=1)).astype(np.float32)


def energy(logits: np.ndarray, *, temperature: float = 1.0) -> Floats:
    """Free energy -T log sum_k exp(logit_k / T), in units of logits.

    Liu et al. 2020, "Energy-based Out-of-distribution Detection".

    Args:
        temperature: T > 0; towards 0 it becomes `max_logit`.
    """
    if not temperature > 0.0:
        raise ValueError(f"`temperature > 0` must hold, but got temperature={temperature}")
    return (-temperature * logsumexp(_float64(logits) / temperature, axis=1)).astype(np.float32)


def fit_knn(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    k: int = KNN_K,
    bank_limit: int = KNN_BANK_LIMIT,
    seed: int = 0,
) -> State:
    """Keep the unit features of training images as a bank.

    Args:
        features: float [M, D]. labels: int [M], used only to keep every class's share in the bank.
        k: which neighbour's distance is the score.
        bank_limit: more training images than this are thinned out, seeded and stratified.

    Returns:
        bank: float32 [min(M, bank_limit), D], rows of length 1. k: int64 [1].
    """
    if not 1 <= k <= len(features):
        raise ValueError(f"`1 <= k <= {len(features)} training images` must hold, but got k={k}")
    if bank_limit < k:
        raise ValueError(f"`bank_limit >= k` must hold, but got bank_limit={bank_limit}, k={k}")
    if len(features) > bank_limit:
        features = features[_stratified_rows(labels, limit=bank_limit, seed=seed)]
    return {"bank": unit_rows(features), "k": np.array([k], dtype=np.int64)}


def score_knn(state: State, features: np.ndarray) -> Floats:
    """Cosine distance, in [0, 2], to the k-th nearest training image.

    Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors": they take the
    Euclidean distance of unit features, which orders images alike (its square is twice ours). The
    k-th distance, not the mean of k: it is theirs, and one stray neighbour cannot move it.

    Args:
        features: float [N, D]; a row of zeros is at distance 1 from everything.
    """
    bank, k = state["bank"], int(state["k"][0])
    if features.shape[1] != bank.shape[1]:
        raise ValueError(
            f"`features` must have the bank's D={bank.shape[1]}, but got D={features.shape[1]}"
        )
    result = np.empty(len(features), dtype=np.float32)
    step = max(1, CHUNK_CELLS // len(bank))
    for start in range(0, len(features), step):
        similarity = unit_rows(features[start : start + step]) @ bank.T
        similarity.partition(len(bank) - k, axis=1)
        result[start : start + step] = 1.0 - similarity[:, len(bank) - k]
    # Rounding makes the distance to an identical image a little negative.
    return np.clip(result, 0.0, 2.0)


def logit_score(function: Callable[[np.ndarray], Floats]) -> Score:
    """A score that is a pure function of logits and has nothing to fit."""
    return Score(
        fit=lambda features, logits, labels: {},
        score=lambda state, features, logits: function(logits),
    )


def energy_score(*, temperature: float = 1.0) -> Score:
    """`energy` at a given temperature, in the form of a `Score`."""
    return logit_score(lambda logits: energy(logits, temperature=temperature))


def knn_score(*, k: int = KNN_K, bank_limit: int = KNN_BANK_LIMIT) -> Score:
    """`fit_knn` and `score_knn` in the form of a `Score`."""
    return Score(
        fit=lambda features, logits, labels: fit_knn(features, labels, k=k, bank_limit=bank_limit),
        score=lambda state, features, logits: score_knn(state, features),
        per_level=False,
    )


def mahalanobis_score() -> Score:
    """`fit_mahalanobis` and `score_mahalanobis`, on the classes of each level."""
    return Score(
        fit=lambda features, logits, labels: fit_mahalanobis(features, labels),
        score=lambda state, features, logits: score_mahalanobis(state, features),
    )


SCORES: dict[str, Score] = {
    "msp": logit_score(msp),
    "max_logit": logit_score(max_logit),
    "energy": energy_score(),
    "knn": knn_score(),
    "mahalanobis": mahalanobis_score(),
}


def fit_scores(
    inputs: ScoreInputs,
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    *,
    scores: Mapping[str, Score] = SCORES,
) -> State:
    """Fit every score on known training images, for both levels.

    Args:
        inputs: of M training images. super_labels, sub_labels: int [M], known classes only.
        scores: by name.

    Returns:
        One flat dict for all: keys `super_NAME.ARRAY`, `sub_NAME.ARRAY`, or `NAME.ARRAY` for a
        score that is not per level.

    Raises:
        ValueError: inputs that are not finite or not of one length, too few images for a score.
    """
    _check_inputs(inputs)
    labels = {"super": super_labels, "sub": sub_labels}
    if {len(super_labels), len(sub_labels)} != {len(inputs.features)}:
        raise ValueError(
            f"labels must have {len(inputs.features)} rows as `features` has, "
            f"but got {len(super_labels)} and {len(sub_labels)}"
        )
    states: State = {}
    for name, score in scores.items():
        for level in LEVELS if score.per_level else ("sub",):
            fitted = score.fit(inputs.features, _logits(inputs, level), labels[level])
            states |= {f"{_prefix(score, level, name)}.{key}": a for key, a in fitted.items()}
    return states


def score_columns(
    states: Mapping[str, np.ndarray],
    inputs: ScoreInputs,
    *,
    scores: Mapping[str, Score] = SCORES,
) -> dict[str, Floats]:
    """Every score of every image for both levels: the score table's columns.

    Args:
        states: from `fit_scores` with the same `scores`. inputs: of N images.

    Returns:
        `super_NAME` and `sub_NAME` for each score, float32 [N], finite.

    Raises:
        ValueError: inputs that are not finite or not of one length, scores that are not finite.
    """
    _check_inputs(inputs)
    columns: dict[str, Floats] = {}
    for name, score in scores.items():
        for level in LEVELS if score.per_level else ("sub",):
            start = f"{_prefix(score, level, name)}."
            own = {k.removeprefix(start): a for k, a in states.items() if k.startswith(start)}
            column = score.score(own, inputs.features, _logits(inputs, level))
            _check_finite(f"{level}_{name}", column)
            columns[f"{level}_{name}"] = column
        if not score.per_level:
            columns[f"super_{name}"] = columns[f"sub_{name}"]
    return columns


def _prefix(score: Score, level: str, name: str) -> str:
    return f"{level}_{name}" if score.per_level else name


def _logits(inputs: ScoreInputs, level: str) -> np.ndarray:
    return inputs.super_logits if level == "super" else inputs.sub_logits


def _check_inputs(inputs: ScoreInputs) -> None:
    for name, array in inputs._asdict().items():
        if array.ndim != 2 or len(array) != len(inputs.features):
            raise ValueError(
                f"`{name}` must be of shape [{len(inputs.features)}, ...], but got {array.shape}"
            )
        _check_finite(name, array)


def _check_finite(name: str, array: np.ndarray) -> None:
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"`{name}` must be finite, but got NaN or infinity in {(~finite).sum()} of "
            f"{len(array)} rows, first in row {int(np.argmin(finite))}"
        )


def _float64(logits: np.ndarray) -> NDArray[np.float64]:
    return np.asarray(logits, dtype=np.float64)


def _stratified_rows(labels: np.ndarray, *, limit: int, seed: int) -> NDArray[np.int64]:
    """`limit` row indices, ascending, each class with its share; every class once if it can be."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    # Position within the class as a share of it: 0 for each class's first, so no class is lost.
    share = (np.arange(len(labels)) - np.repeat(first, counts)) / np.repeat(counts, counts)
    return np.sort(order[np.argsort(share, kind="stable")[:limit]])
