"""From logits to classes: the most probable known super-class and sub-class of an image.

Shape legend: N images, S known super-classes, C known sub-classes, K classes of one level.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np

from hierclf.scores.softmax import softmax

Decoding = Literal["independent", "top-down", "joint"]
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)


class Decoded(NamedTuple):
    """The most probable known class of each image, before any threshold.

    Attributes:
        super_pred: int64 [N], columns of the super logits.
        sub_pred: int64 [N], columns of the sub logits.
        super_prob: float32 [N], softmax probability of `super_pred` among all S classes.
        sub_prob: float32 [N], softmax probability of `sub_pred` among all C classes.
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
    decoding: Decoding = "top-down",
) -> Decoded:
    """Predict a known super-class and a known sub-class for each image.

    - `independent`: the most probable class of each level; the two may contradict each other.
    - `top-down`: the most probable super-class, then the most probable of its sub-classes.
    - `joint`: the sub-class with the highest p(its super-class) * p(sub-class), and its
      super-class, so that a confident sub head can correct an unsure super head.

    Args:
        super_logits: float [N, S].
        sub_logits: float [N, C].
        sub_to_super: int64 [C], the column of `super_logits` that each sub-class belongs to.
        decoding: one of `DECODINGS`.

    Raises:
        ValueError: an unknown decoding.
    """
    if decoding == "independent":
        super_pred, sub_pred = super_logits.argmax(axis=1), sub_logits.argmax(axis=1)
    elif decoding == "top-down":
        super_pred = super_logits.argmax(axis=1)
        belongs = sub_to_super[None, :] == super_pred[:, None]
        sub_pred = np.where(belongs, sub_logits, -np.inf).argmax(axis=1)
    elif decoding == "joint":
        # Logits are log probabilities up to a constant per image and level.
        sub_pred = (super_logits[:, sub_to_super] + sub_logits).argmax(axis=1)
        super_pred = sub_to_super[sub_pred]
    else:
        raise ValueError(f"`decoding` must be one of {', '.join(DECODINGS)}, but got {decoding!r}")
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
    return softmax(logits)[np.arange(len(classes)), classes].astype(np.float32)
