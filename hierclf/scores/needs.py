"""What scores need of the images that they are fitted on.

Shape legend: M training images.
"""

from collections.abc import Sequence

import numpy as np

from hierclf.scores.knn import KNN_K

_OF_A_COVARIANCE = ("mahalanobis", "relative_mahalanobis", "within", "learned")
_OF_COMPONENTS = ("residual", "vim", "mixture", "one_class", "flow")


def unfittable(
    names: Sequence[str], sub_labels: np.ndarray, pictures: np.ndarray
) -> dict[str, str]:
    """Which scores cannot be fitted on some training images, with what they need.

    Args:
        names: of scores.
        sub_labels: int [M].
        pictures: int [M], the same number for images that show the same pixels: their features are
            the same, too.
    """
    reasons: dict[str, str] = {}
    if len(sub_labels) < KNN_K:
        reasons["knn"] = f"{KNN_K} training images"
    if len(np.unique(pictures)) < 2:
        reasons |= dict.fromkeys(_OF_COMPONENTS, "2 different training images")
    pairs = np.unique(np.stack([sub_labels, pictures]), axis=1)
    if np.unique(pairs[0], return_counts=True)[1].max(initial=0) < 2:
        reason = "2 different training images of a sub-class"
        reasons |= dict.fromkeys(_OF_A_COVARIANCE, reason)
    return {name: reasons[name] for name in names if name in reasons}
