"""In which order, and how often, an epoch shows its images.

Shape legend: N training images.
"""

import numpy as np
from numpy.typing import NDArray


def balanced(
    rows: NDArray[np.int64], labels: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw N of N images with replacement, of every class equally often on average.

    As torch's WeightedRandomSampler with a class's inverse frequency as the weight of its images.
    All processes of a trial draw the same from the same generator, and divide the batches.

    Args:
        rows: int64 [N], indices of images.
        labels: int64 [N], the class of each.
        rng: source of all randomness.
    """
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = 1 / counts[which]
    return rng.choice(rows, size=len(rows), p=weights / weights.sum())
