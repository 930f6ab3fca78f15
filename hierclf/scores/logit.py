"""Scores computed from one head's logits.

Shape legend: N images, K known classes of a level.
"""

import numpy as np
from numpy.typing import NDArray

from hierclf.scores.base import Floats, Score, logit_score
from hierclf.scores.softmax import log_softmax, logsumexp, softmax

GEN_GAMMA = 0.1
GEN_CLASSES = 100
CLIP_SCALE = 100.0
"""Logits of zero-shot heads are cosines times this, the limit that CLIP's training sets."""


def msp(logits: np.ndarray) -> Floats:
    """1 - maximum softmax probability, in [0, 1 - 1/K].

    Hendrycks & Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks". The paper's rule "probability < 0.7" is `msp > 0.3`.
    """
    # In float64: in float32, 1 - p takes only a few values for confident images.
    return (1.0 - softmax(_float64(logits)).max(axis=1)).astype(np.float32)


def mcm(logits: np.ndarray) -> Floats:
    """Maximum concept matching: 1 - maximum of softmax(cosines), in [0, 1 - 1/K].

    Ming et al. 2022, "Delving into Out-of-Distribution Detection with Vision-Language
    Representations", at their temperature of 1: what is nearer to one class's words than to the
    others' is known. For heads on images it is `msp` at the temperature `CLIP_SCALE`.

    Args:
        logits: float [N, K], cosines times `CLIP_SCALE`.
    """
    return msp(_float64(logits) / CLIP_SCALE)


def max_logit(logits: np.ndarray) -> Floats:
    """Minus the largest logit, in units of logits.

    Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection for Real-World Settings".
    """
    return (-_float64(logits).max(axis=1)).astype(np.float32)


def energy(logits: np.ndarray, *, temperature: float = 1.0) -> Floats:
    """Free energy -T log sum_k exp(logit_k / T), in units of logits.

    Liu et al. 2020, "Energy-based Out-of-distribution Detection".

    Args:
        logits: float [N, K].
        temperature: T > 0; as T goes to 0 the score goes to `max_logit`.

    Raises:
        ValueError: `temperature <= 0`.
    """
    if not temperature > 0.0:
        raise ValueError(f"`temperature > 0` must hold, but got temperature={temperature}")
    return (-temperature * logsumexp(_float64(logits) / temperature)).astype(np.float32)


def entropy(logits: np.ndarray) -> Floats:
    """Entropy of the softmax, -sum_k p_k log p_k, in nats, in [0, log K]."""
    log_probability = log_softmax(_float64(logits))
    return (-(np.exp(log_probability) * log_probability).sum(axis=1)).astype(np.float32)


def gen(logits: np.ndarray, *, gamma: float = GEN_GAMMA, max_classes: int = GEN_CLASSES) -> Floats:
    """Generalized entropy: sum of p^gamma (1 - p)^gamma over the most probable classes, >= 0.

    Liu et al. 2023, "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection",
    without its minus sign.

    Args:
        logits: float [N, K].
        gamma: in (0, 1); smaller values give small probabilities more weight.
        max_classes: how many classes count at most; K if there are fewer.

    Raises:
        ValueError: `gamma` or `max_classes` out of range.
    """
    if not 0.0 < gamma < 1.0:
        raise ValueError(f"`0 < gamma < 1` must hold, but got gamma={gamma}")
    if max_classes < 1:
        raise ValueError(f"`max_classes >= 1` must hold, but got max_classes={max_classes}")
    top = np.sort(softmax(_float64(logits)), axis=1)[:, -max_classes:]
    # Rounding can put a probability slightly above 1.
    return ((top * np.maximum(1.0 - top, 0.0)) ** gamma).sum(axis=1).astype(np.float32)


def energy_score(*, temperature: float = 1.0) -> Score:
    """`energy` at a given temperature, in the form of a `Score`."""
    return logit_score(lambda logits: energy(logits, temperature=temperature))


def _float64(logits: np.ndarray) -> NDArray[np.float64]:
    return np.asarray(logits, dtype=np.float64)
