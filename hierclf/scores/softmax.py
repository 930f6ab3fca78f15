"""Softmax and its kin in NumPy alone: exported models are used where there is no SciPy."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def softmax(logits: np.ndarray) -> np.ndarray:
    """exp(x_k) / sum_j exp(x_j) over the last axis, in the floating type of `logits`."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithm of `softmax`, exact where a probability is too small for its type."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def logsumexp(values: np.ndarray) -> np.ndarray:
    """log sum_k exp(x_k) over the last axis, which it removes."""
    largest = values.max(axis=-1, keepdims=True)
    return (largest + np.log(np.exp(values - largest).sum(axis=-1, keepdims=True)))[..., 0]


def sigmoid(values: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), which neither overflows nor loses small values."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(values, dtype=np.float64)))
