"""Drawn features and logits for the tests of scores: classes as clouds, and images far from all."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from hierclf.hierarchy import Level
from hierclf.scores import (
    SCORES,
    Labels,
    PretrainedHead,
    ScoreInputs,
    State,
    fit_scores,
    score_columns,
)

# Six sub-classes of three super-classes; super-class 1 and sub-class 4 are not among them.
SUBS = np.array([0, 1, 2, 3, 5, 6])
SUPERS = np.array([0, 0, 2, 2, 3, 3])


def drawn(n: int = 240, d: int = 12, *, seed: int = 0) -> tuple[ScoreInputs, Labels]:
    """Images of known classes, and a network that has learned them: logits by distance."""
    centres = _centres(d)
    rng = np.random.default_rng(seed)
    index = rng.permutation(np.arange(n) % len(SUBS))
    return _inputs(centres[index] + rng.normal(size=(n, d)), centres), Labels(
        SUPERS[index], SUBS[index]
    )


def far(n: int = 60, d: int = 12, *, seed: int = 1) -> ScoreInputs:
    """Images between all known classes and beside them, on which the network is unsure."""
    centres = _centres(d)
    noise = np.random.default_rng(seed).normal(size=(n, d))
    return _inputs(_aside(centres) + noise, centres)


def stored(state: State, directory: Path) -> State:
    """The state after a way through a safetensors file."""
    save_file(state, directory / "state.safetensors")
    return load_file(directory / "state.safetensors")


def score(
    name: str, level: Level, train: tuple[ScoreInputs, Labels], new: ScoreInputs
) -> np.ndarray:
    """A registered score, fitted on `train`."""
    one, (inputs, labels) = {name: SCORES[name]}, train
    states = fit_scores(inputs, *labels, scores=one)
    return score_columns(states, new, scores=one)[f"{level}_{name}"]


def _centres(d: int) -> np.ndarray:
    return np.random.default_rng(99).normal(size=(len(SUBS), d)) * 3


def _aside(centres: np.ndarray) -> np.ndarray:
    return np.linalg.svd(centres)[2][-1] * 9  # orthogonal to all class means


def _inputs(features: np.ndarray, centres: np.ndarray) -> ScoreInputs:
    sub = features @ centres.T / 8
    maxima = np.maximum.reduceat(sub, [0, 2, 4], axis=1)
    # The weights' own classifier also knows a class for what lies aside.
    weight = (np.vstack([centres, _aside(centres)]) / 8).astype(np.float32)
    head = PretrainedHead(weight, np.zeros(len(weight), dtype=np.float32))
    features, maxima, sub = (array.astype(np.float32) for array in (features, maxima, sub))
    return ScoreInputs(features, maxima, sub, head)
