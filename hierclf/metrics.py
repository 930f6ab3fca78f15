"""How good are answers and scores: the six accuracies, harmonic means, AUROC and its kin, ECE.

Pure functions of arrays, one row an image; they know no model, fold or file. Where a figure needs
rows that are not there (no novel image, say) it is None, never NaN.

Shape legend: N images.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierclf.goals import BALANCED, Goal
from hierclf.labels import NOVEL

LEVELS = ("super", "sub")
PARTS = ("overall", "seen", "unseen")


def harmonic_mean(seen: float | None, unseen: float | None) -> float | None:
    """Harmonic mean 2 s u / (s + u) of two accuracies in [0, 1]; 0 if both are 0.

    None if either is None: balance cannot be judged from one side.
    """
    if seen is None or unseen is None:
        return None
    total = seen + unseen
    return 2.0 * seen * unseen / total if total > 0.0 else 0.0


def six_accuracies(
    true_super: ArrayLike, true_sub: ArrayLike, pred_super: ArrayLike, pred_sub: ArrayLike
) -> dict[str, float | None]:
    """The six accuracies and the harmonic mean of each level.

    A row of a known class is right if its class is answered, a row of a novel class if `NOVEL` is
    answered. Seen is the share of right rows among known classes, unseen among novel classes,
    overall among all rows, each level by its own labels.

    Args:
        true_super, true_sub, pred_super, pred_sub: integers [N], model indices or `NOVEL`.

    Returns:
        super_overall, super_seen, super_unseen, super_harmonic and the same for sub, in [0, 1];
        None for a part without rows.

    Raises:
        ValueError: arrays that are not integers of one shape [N].
    """
    truths = {"super": _labels("true_super", true_super), "sub": _labels("true_sub", true_sub)}
    answers = {"super": _labels("pred_super", pred_super), "sub": _labels("pred_sub", pred_sub)}
    lengths = [len(array) for array in (*truths.values(), *answers.values())]
    if len(set(lengths)) != 1:
        raise ValueError(f"labels and answers must have one length, but got lengths {lengths}")
    result: dict[str, float | None] = {}
    for level in LEVELS:
        right = truths[level] == answers[level]
        novel = truths[level] == NOVEL
        seen, unseen = _share(right[~novel]), _share(right[novel])
        result[f"{level}_overall"] = _share(right)
        result[f"{level}_seen"] = seen
        result[f"{level}_unseen"] = unseen
        result[f"{level}_harmonic"] = harmonic_mean(seen, unseen)
    return result


def constant_answers(
    true_super: ArrayLike, true_sub: ArrayLike, class_super: ArrayLike, class_sub: ArrayLike
) -> dict[str, dict[str, float | None]]:
    """The six accuracies of the two constant answers, to print beside every result.

    At a high share of novel images "always novel" looks good overall; beside it a result shows
    what it is worth.

    Args:
        true_super, true_sub: integers [N], model indices or `NOVEL`.
        class_super, class_sub: integers [N], the most probable known class of each level, which is
            what a classifier without the answer "novel" says.

    Returns:
        `always_novel` and `never_novel`, each as `six_accuracies` gives it.
    """
    novel = np.full(len(_labels("true_super", true_super)), NOVEL)
    return {
        "always_novel": six_accuracies(true_super, true_sub, novel, novel),
        "never_novel": six_accuracies(true_super, true_sub, class_super, class_sub),
    }


def objective(accuracies: Mapping[str, float | None], goal: Goal = BALANCED) -> float:
    """The mean over the levels of a goal's values, in [0, 1]; below 0 where it is not reached.

    By default the mean of the harmonic means. A level without known or without novel rows is left
    out.

    Args:
        accuracies: as `six_accuracies` gives it.

    Raises:
        ValueError: no level has both.
    """
    sides = [(accuracies[f"{level}_seen"], accuracies[f"{level}_unseen"]) for level in LEVELS]
    present = [
        float(goal.value(seen, unseen))
        for seen, unseen in sides
        if seen is not None and unseen is not None
    ]
    if not present:
        raise ValueError("the objective needs a level with known and novel rows, but got none")
    return sum(present) / len(present)


def novelty_metrics(score: ArrayLike, is_novel: ArrayLike) -> dict[str, float | None]:
    """How well a score ranks novel above known images, whatever the threshold; novel is positive.

    Args:
        score: floats [N], higher = more novel.
        is_novel: bool [N].

    Returns:
        auroc: area under the ROC curve. aupr: average precision. fpr95: the lowest share of known
        images called novel by a threshold that finds at least 95 % of the novel ones. All in
        [0, 1]; None where known or novel rows are missing.

    Raises:
        ValueError: scores that are not finite, or of another length than `is_novel`.
    """
    scores = np.asarray(score, dtype=np.float64)
    novel = np.asarray(is_novel, dtype=bool)
    if scores.ndim != 1 or scores.shape != novel.shape:
        raise ValueError(
            "`score` and `is_novel` must be of one shape [N], "
            f"but got {scores.shape} and {novel.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"`score` must be finite, but got {(~np.isfinite(scores)).sum()} bad rows")
    if novel.all() or not novel.any():
        return {"auroc": None, "aupr": None, "fpr95": None}
    # Its import takes a second, which a trial that asks for no such figure does not wait for.
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    fpr, tpr, _ = roc_curve(novel, scores, drop_intermediate=False)
    return {
        "auroc": float(roc_auc_score(novel, scores)),
        "aupr": float(average_precision_score(novel, scores)),
        "fpr95": float(fpr[np.argmax(tpr >= 0.95)]),
    }


def expected_calibration_error(
    prob: ArrayLike, correct: ArrayLike, *, bins: int = 15
) -> float | None:
    """Expected calibration error: sum over bins of |accuracy - mean probability| * share of rows.

    Bins of equal width, (0, 1/bins], (1/bins, 2/bins], ...; 0 falls in the first (Guo et al. 2017,
    "On Calibration of Modern Neural Networks").

    Args:
        prob: floats [N] in [0, 1], the probability of the given answer.
        correct: bool [N], whether that answer is right.

    Returns:
        The error in [0, 1]; None without rows.

    Raises:
        ValueError: probabilities outside [0, 1], `bins < 1`, or lengths that differ.
    """
    probs = np.asarray(prob, dtype=np.float64)
    right = np.asarray(correct, dtype=bool)
    if probs.ndim != 1 or probs.shape != right.shape:
        raise ValueError(
            f"`prob` and `correct` must be of one shape [N], but got {probs.shape}, {right.shape}"
        )
    if bins < 1:
        raise ValueError(f"`bins >= 1` must hold, but got bins={bins}")
    inside = (probs >= 0.0) & (probs <= 1.0)
    if not inside.all():
        raise ValueError(f"`0 <= prob <= 1` must hold, but got prob={probs[~inside][0]}")
    if not len(probs):
        return None
    edges = np.linspace(0.0, 1.0, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, probs, side="left") - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, weights=right - probs, minlength=bins)
    return float(np.abs(gaps).sum() / len(probs))


def _share(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None


def _labels(name: str, values: ArrayLike) -> NDArray[np.integer]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(
            f"`{name}` must be integers of shape [N], but got {array.dtype} of shape {array.shape}"
        )
    return array
