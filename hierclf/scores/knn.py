"""Distance to the nearest training images.

Shape legend: N images, M training images, D features.
"""

import numpy as np
from numpy.typing import NDArray

from hierclf.scores.base import Floats, Score, State, feature_score
from hierclf.scores.rows import by_chunks, check_width, chunks, stratified_rows, unit_rows

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
    rows = bank_rows(labels, bank_limit=bank_limit, seed=seed)
    return {"bank": unit_rows(features[rows]), "k": np.array([k], dtype=np.int64)}


def bank_rows(
    labels: np.ndarray, *, bank_limit: int = KNN_BANK_LIMIT, seed: int = 0
) -> NDArray[np.int64]:
    """Which training images `fit_knn` keeps, in the order of the bank: int64 [min(M, bank_limit)].

    Args:
        labels, bank_limit, seed: as for `fit_knn`.
    """
    return stratified_rows(labels, limit=bank_limit, seed=seed)


def nearest_in_bank(
    state: State, features: np.ndarray, count: int
) -> tuple[NDArray[np.int64], Floats]:
    """The nearest training images.

    Args:
        state: from `fit_knn`.
        features: float [N, D].
        count: how many; all of the bank if it holds fewer.

    Returns:
        Rows of the bank, int64 [N, min(count, M)], nearest first, and their cosine distances,
        float32 in [0, 2].

    Raises:
        ValueError: another D than in training.
    """
    bank = state["bank"]
    check_width(features, bank.shape[1])
    count = min(count, len(bank))
    rows = np.empty((len(features), count), dtype=np.int64)
    distances = np.empty((len(features), count), dtype=np.float32)
    for start, stop in chunks(len(features), cells=len(bank)):
        distance = 1.0 - unit_rows(features[start:stop]) @ bank.T
        nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
        own = np.take_along_axis(distance, nearest, axis=1)
        order = np.argsort(own, axis=1, kind="stable")
        rows[start:stop] = np.take_along_axis(nearest, order, axis=1)
        distances[start:stop] = np.take_along_axis(own, order, axis=1)
    return rows, np.clip(distances, 0.0, 2.0)


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
