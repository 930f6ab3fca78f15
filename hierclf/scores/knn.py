"""Distance to the nearest training images.

Shape legend: N images, M training images, D features.
"""

import numpy as np

from hierclf.scores.base import Floats, Score, State, feature_score
from hierclf.scores.rows import by_chunks, check_width, stratified_rows, unit_rows

KNN_K = 5
KNN_BANK_LIMIT = 50_000


def fit_knn(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    k: int = KNN_K,
    bank_limit: int = KNN_BANK_LIMIT,
    seed: int = 0,
) -> State:
    """Keep the unit features of training images as a bank.

    Args:
        features: float [M, D].
        labels: int [M], used to keep each class's fraction in a sampled bank.
        k: which neighbour's distance is the score.
        bank_limit: of more training images than this a stratified sample is kept.
        seed: of the sample.

    Returns:
        bank: float32 [min(M, bank_limit), D], rows of length 1. k: int64 [1].

    Raises:
        ValueError: `k` or `bank_limit` out of range.
    """
    if not 1 <= k <= len(features):
        raise ValueError(f"`1 <= k <= {len(features)} training images` must hold, but got k={k}")
    if bank_limit < k:
        raise ValueError(f"`bank_limit >= k` must hold, but got bank_limit={bank_limit}, k={k}")
    rows = stratified_rows(labels, limit=bank_limit, seed=seed)
    return {"bank": unit_rows(features[rows]), "k": np.array([k], dtype=np.int64)}


def score_knn(state: State, features: np.ndarray) -> Floats:
    """Cosine distance, in [0, 2], to the k-th nearest training image.

    Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors". They use the
    Euclidean distance of unit features, which gives the same order (its square is twice ours).

    Args:
        state: from `fit_knn`.
        features: float [N, D]; a row of zeros is at distance 1 from everything.

    Raises:
        ValueError: another D than in training.
    """
    bank, k = state["bank"], int(state["k"][0])
    check_width(features, bank.shape[1])

    def distance(rows: np.ndarray) -> np.ndarray:
        similarity = unit_rows(rows) @ bank.T
        similarity.partition(len(bank) - k, axis=1)
        return 1.0 - similarity[:, len(bank) - k]

    # Rounding can make the distance to an identical image slightly negative.
    return np.clip(by_chunks(distance, features, cells=len(bank)), 0.0, 2.0)


def knn_score(*, k: int = KNN_K, bank_limit: int = KNN_BANK_LIMIT) -> Score:
    """`fit_knn` and `score_knn` in the form of a `Score`."""
    return feature_score(
        lambda features, labels: fit_knn(features, labels, k=k, bank_limit=bank_limit), score_knn
    )
