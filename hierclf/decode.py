"""From logits to classes: the super-class first, then a sub-class of that super-class.

Shape legend: N images, S known super-classes, C known sub-classes.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import softmax


class Decoded(NamedTuple):
    """The best known class of every image, before any threshold.

    Attributes:
        super_pred, sub_pred: int64 [N], columns of the logits.
        super_prob, sub_prob: float32 [N], softmax probability of that class over all known classes
            of its level.
    """

    super_pred: np.ndarray
    sub_pred: np.ndarray
    super_prob: np.ndarray
    sub_prob: np.ndarray


def decode(super_logits: np.ndarray, sub_logits: np.ndarray, sub_to_super: np.ndarray) -> Decoded:
    """Take the most probable super-class, and the most probable sub-class that belongs to it.

    Args:
        super_logits: float [N, S]. sub_logits: float [N, C].
        sub_to_super: int64 [C], the column of `super_logits` that each sub-class belongs to.
    """
    super_pred = super_logits.argmax(axis=1)
    belongs = sub_to_super[None, :] == super_pred[:, None]
    sub_pred = np.where(belongs, sub_logits, -np.inf).argmax(axis=1)
    rows = np.arange(len(super_logits))
    return Decoded(
        super_pred,
        sub_pred,
        softmax(super_logits, axis=1)[rows, super_pred].astype(np.float32),
        softmax(sub_logits, axis=1)[rows, sub_pred].astype(np.float32),
    )
