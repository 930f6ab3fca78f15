"""The six accuracies: overall, seen (known classes) and unseen (novel classes), at both levels.

Pure functions of arrays with one row per image. A figure without rows is None, never NaN.

Shape legend: N images.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierclf.hierarchy import LEVELS, NOVEL

PARTS = ("overall", "seen", "unseen")


def six_accuracies(
    true_super: ArrayLike, true_sub: ArrayLike, pred_super: ArrayLike, pred_sub: ArrayLike
) -> dict[str, float | None]:
    """The six accuracies, and the harmonic mean of seen and unseen accuracy, at both levels.

    A row of a known class is right if its class is predicted, a row of a novel class if `NOVEL` is
    predicted. Seen accuracy is over the rows of known classes, unseen over those of novel classes,
    overall over all rows; each level uses its own labels.

    Args:
        true_super, true_sub, pred_super, pred_sub: integers [N], model indices or `NOVEL`.

    Returns:
        super_overall, super_seen, super_unseen, super_harmonic and the same for sub, in [0, 1];
        None for a part without rows.

    Raises:
        ValueError: arrays that are not integers of one shape [N].
    """
    truths = {"super": _labels("true_super", true_super), "sub": _labels("true_sub", true_sub)}
    predicted = {"super": _labels("pred_super", pred_super), "sub": _labels("pred_sub", pred_sub)}
    lengths = [len(array) for array in (*truths.values(), *predicted.values())]
    if len(set(lengths)) != 1:
        raise ValueError(f"labels and predictions must have one length, but got lengths {lengths}")
    result: dict[str, float | None] = {}
    for level in LEVELS:
        right = truths[level] == predicted[level]
        novel = truths[level] == NOVEL
        seen, unseen = _mean(right[~novel]), _mean(right[novel])
        result[f"{level}_overall"] = _mean(right)
        result[f"{level}_seen"] = seen
        result[f"{level}_unseen"] = unseen
        result[f"{level}_harmonic"] = (
            None if seen is None or unseen is None else float(harmonic_mean(seen, unseen))
        )
    return result


def constant_predictions(
    true_super: ArrayLike, true_sub: ArrayLike, class_super: ArrayLike, class_sub: ArrayLike
) -> dict[str, dict[str, float | None]]:
    """The six accuracies of two baselines: always predict novel, and never.

    Where many images are novel, "always novel" has a high overall accuracy.

    Args:
        true_super, true_sub: integers [N], model indices or `NOVEL`.
        class_super, class_sub: integers [N], the most probable known class of each level: the
            predictions of a closed-set classifier.

    Returns:
        `always_novel` and `never_novel`, each as `six_accuracies` gives it.
    """
    novel = np.full(len(_labels("true_super", true_super)), NOVEL)
    return {
        "always_novel": six_accuracies(true_super, true_sub, novel, novel),
        "never_novel": six_accuracies(true_super, true_sub, class_super, class_sub),
    }


def _mean(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None


def _labels(name: str, values: ArrayLike) -> NDArray[np.integer]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(
            f"`{name}` must be integers of shape [N], but got {array.dtype} of shape {array.shape}"
        )
    return array


def harmonic_mean(seen: ArrayLike, unseen: ArrayLike) -> NDArray[np.float64]:
    """Harmonic mean 2 s u / (s + u) of accuracies in [0, 1], elementwise; 0 where both are 0."""
    s, u = np.asarray(seen, dtype=np.float64), np.asarray(unseen, dtype=np.float64)
    total = s + u
    return np.asarray(2.0 * s * u / np.where(total > 0.0, total, 1.0))
