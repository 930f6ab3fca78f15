"""From logits to classes: the best known super-class and sub-class, by one of three rules.

Shape legend: N images, S known super-classes, C known sub-classes.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import softmax

Decoding = Literal["apart", "masked", "joint"]
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)


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


def decode(
    super_logits: np.ndarray,
    sub_logits: np.ndarray,
    sub_to_super: np.ndarray,
    *,
    rule: Decoding = "masked",
) -> Decoded:
    """Take a known super-class and a known sub-class for every image.

    - `apart`: the most probable class of each level by itself; the two may contradict each other.
    - `masked`: the most probable super-class, then the most probable sub-class that belongs to it.
    - `joint`: the sub-class with the highest p(its super-class) * p(sub-class), and its
      super-class, so that a sure sub head can correct an unsure super head.

    Args:
        super_logits: float [N, S]. sub_logits: float [N, C].
        sub_to_super: int64 [C], the column of `super_logits` that each sub-class belongs to.
        rule: one of `DECODINGS`.

    Raises:
        ValueError: an unknown rule.
    """
    if rule == "apart":
        super_pred, sub_pred = super_logits.argmax(axis=1), sub_logits.argmax(axis=1)
    elif rule == "masked":
        super_pred = super_logits.argmax(axis=1)
        belongs = sub_to_super[None, :] == super_pred[:, None]
        sub_pred = np.where(belongs, sub_logits, -np.inf).argmax(axis=1)
    elif rule == "joint":
        # Logits serve as log probabilities: the two differ by one number a row and level.
        sub_pred = (super_logits[:, sub_to_super] + sub_logits).argmax(axis=1)
        super_pred = sub_to_super[sub_pred]
    else:
        raise ValueError(f"`rule` must be one of {', '.join(DECODINGS)}, but got {rule!r}")
    return Decoded(
        super_pred,
        sub_pred,
        class_probability(super_logits, super_pred),
        class_probability(sub_logits, sub_pred),
    )


def class_probability(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The softmax probability of one class per image, float32 [N] in [0, 1].

    Args:
        logits: float [N, K], divided by the temperature if there is one.
        classes: int [N], columns of the logits.
    """
    return softmax(logits, axis=1)[np.arange(len(classes)), classes].astype(np.float32)
