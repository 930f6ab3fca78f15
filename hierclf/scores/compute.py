"""Fit a set of scores on training images, and compute them for others.

Shape legend: N images, M training images.
"""

from collections.abc import Mapping

import numpy as np

from hierclf.hierarchy import LEVELS, Level
from hierclf.scores.base import Floats, Labels, Score, ScoreInputs, State
from hierclf.scores.registry import SCORES


def fit_scores(
    inputs: ScoreInputs,
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    *,
    scores: Mapping[str, Score] = SCORES,
) -> State:
    """Fit scores on known training images, for both levels.

    Args:
        inputs: of M training images.
        super_labels: int [M], known classes only.
        sub_labels: int [M], known classes only.
        scores: scores by name.

    Returns:
        One flat dict of arrays with keys `super_NAME.ARRAY` and `sub_NAME.ARRAY`, or `NAME.ARRAY`
        for what both levels share.

    Raises:
        ValueError: inputs that are not finite or differ in length, too few images for a score.
    """
    _check_inputs(inputs)
    labels = Labels(super_labels, sub_labels)
    if {len(super_labels), len(sub_labels)} != {len(inputs.features)}:
        raise ValueError(
            f"labels must have {len(inputs.features)} rows as `features` has, "
            f"but got {len(super_labels)} and {len(sub_labels)}"
        )
    states: State = {}
    for name, score in scores.items():
        states |= _fitted(score, name, inputs, labels)
    return states


def _fitted(score: Score, name: str, inputs: ScoreInputs, labels: Labels) -> State:
    """The arrays of one score."""
    if score.refine is None:
        parts = {_prefix(score, lv, name): score.fit(inputs, labels, lv) for lv in _levels(score)}
    else:
        shared = score.fit(inputs, labels, "sub")
        parts = {name: shared}
        for level in LEVELS:
            parts[f"{level}_{name}"] = score.refine(shared, inputs, labels, level)
    return {f"{start}.{key}": array for start, part in parts.items() for key, array in part.items()}


def score_columns(
    states: Mapping[str, np.ndarray],
    inputs: ScoreInputs,
    *,
    scores: Mapping[str, Score] = SCORES,
) -> dict[str, Floats]:
    """Compute scores of images for both levels.

    Args:
        states: from `fit_scores` with the same `scores`.
        inputs: of N images.
        scores: scores by name.

    Returns:
        `super_NAME` and `sub_NAME` for each score, float32 [N], finite.

    Raises:
        ValueError: inputs that are not finite or differ in length, scores that are not finite.
    """
    _check_inputs(inputs)
    columns: dict[str, Floats] = {}
    for name, score in scores.items():
        for level in _levels(score):
            column = score.score(_state_of(states, name, level), inputs, level)
            _check_finite(f"{level}_{name}", column)
            columns[f"{level}_{name}"] = column
        if not score.per_level:
            columns[f"super_{name}"] = columns[f"sub_{name}"]
    return columns


def _state_of(states: Mapping[str, np.ndarray], name: str, level: Level) -> State:
    """The arrays of a score that are of a level, or of both."""
    parts = ((*key.partition("."), array) for key, array in states.items())
    return {key: array for start, _, key, array in parts if start in (name, f"{level}_{name}")}


def _levels(score: Score) -> tuple[Level, ...]:
    """The levels that a score is fitted and computed at."""
    return LEVELS if score.per_level else ("sub",)


def _prefix(score: Score, level: Level, name: str) -> str:
    return f"{level}_{name}" if score.per_level else name


def _check_inputs(inputs: ScoreInputs) -> None:
    for name in ("features", "super_logits", "sub_logits"):
        array = getattr(inputs, name)
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
