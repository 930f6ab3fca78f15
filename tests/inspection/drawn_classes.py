"""Features of classes drawn by code, whose hierarchy and heaps are known."""

import numpy as np
from numpy.typing import NDArray

WIDTH = 32


def classes(
    sub_to_super: list[int], per_class: int, *, seed: int = 0, spread: float = 0.6
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features float32 [N, 32] and sub-labels [N]: a sub-class lies near its super-class."""
    rng = np.random.default_rng(seed)
    parents = 3 * rng.normal(size=(max(sub_to_super) + 1, WIDTH))
    middles = parents[sub_to_super] + 1.5 * rng.normal(size=(len(sub_to_super), WIDTH))
    labels = np.repeat(np.arange(len(sub_to_super)), per_class)
    features = middles[labels] + spread * rng.normal(size=(len(labels), WIDTH))
    return features.astype(np.float32), labels
