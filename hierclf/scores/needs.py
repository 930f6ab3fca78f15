"""What scores need of the images that they are fitted on.

Shape legend: M training images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hierclf.scores.knn import KNN_K

_OF_A_COVARIANCE = ("mahalanobis", "relative_mahalanobis", "within")


def unfittable(names: Sequence[str], sub_labels: np.ndarray) -> dict[str, str]:
    """Which scores cannot be fitted on some training images, with what they need.

    Args:
        names: of scores.
        sub_labels: int [M].
    """
    reasons: dict[str, str] = {}
    if len(sub_labels) < KNN_K:
        reasons["knn"] = f"{KNN_K} training images"
    if np.unique(sub_labels, return_counts=True)[1].max(initial=0) < 2:
        reason = "2 training images of a sub-class"
        reasons |= dict.fromkeys(_OF_A_COVARIANCE, reason)
    return {name: reasons[name] for name in names if name in reasons}
