"""How well a score ranks novel above known images: AUROC, AUPR, FPR95, OSCR.

Shape legend: N images.
"""

import numpy as np
from numpy.typing import ArrayLike


def novelty_metrics(score: ArrayLike, is_novel: ArrayLike) -> dict[str, float | None]:
    """Threshold-free metrics of novelty detection, novel being the positive class.

    Args:
        score: floats [N], higher = more novel.
        is_novel: bool [N].

    Returns:
        auroc (area under the ROC curve), aupr (average precision) and fpr95 (the lowest false
        positive rate at a true positive rate of at least 95 %), in [0, 1]; None if known or novel
        rows are missing.

    Raises:
        ValueError: scores that are not finite, or whose length differs from `is_novel`.
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
    # Imported here: slow to import, and most trials do not compute these metrics.
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    fpr, tpr, _ = roc_curve(novel, scores, drop_intermediate=False)
    return {
        "auroc": float(roc_auc_score(novel, scores)),
        "aupr": float(average_precision_score(novel, scores)),
        "fpr95": float(fpr[np.argmax(tpr >= 0.95)]),
    }


def oscr(score: ArrayLike, right: ArrayLike, is_novel: ArrayLike) -> float | None:
    """Area under the Open-Set Classification Rate curve; higher is better.

    Over all thresholds t, the y axis is the fraction of known rows that are accepted (score < t)
    and right, the x axis the fraction of novel rows that are accepted; linear between thresholds,
    rows of equal score accepted together (Dhamija et al. 2018, "Reducing Network Agnostophobia").
    If every known row is right it is the AUROC.

    Args:
        score: floats [N], higher = more novel.
        right: bool [N], whether the closed-set prediction is right; ignored for novel rows.
        is_novel: bool [N].

    Returns:
        The area, from 0 to the closed-set accuracy; None if known or novel rows are missing.

    Raises:
        ValueError: scores that are not finite, or arrays that are not of one shape [N].
    """
    scores = np.asarray(score, dtype=np.float64)
    hit, novel = np.asarray(right, dtype=bool), np.asarray(is_novel, dtype=bool)
    if scores.ndim != 1 or not scores.shape == hit.shape == novel.shape:
        raise ValueError(
            "`score`, `right` and `is_novel` must be of one shape [N], "
            f"but got {scores.shape}, {hit.shape} and {novel.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"`score` must be finite, but got {(~np.isfinite(scores)).sum()} bad rows")
    if novel.all() or not novel.any():
        return None
    values, step = np.unique(scores, return_inverse=True)
    accepted_right = np.bincount(step, weights=hit & ~novel, minlength=len(values)).cumsum()
    accepted_novel = np.bincount(step, weights=novel, minlength=len(values)).cumsum()
    # The curve starts where nothing is accepted.
    y = np.concatenate([[0.0], accepted_right / (~novel).sum()])
    x = np.concatenate([[0.0], accepted_novel / novel.sum()])
    return float(np.trapezoid(y, x))
