"""A head's confidence, weighted by similarity to the nearest training images.

Shape legend: N images, M training images, D features.
"""

import numpy as np

from hierclf.hierarchy import Level
from hierclf.scores.base import Floats, Labels, Score, ScoreInputs, State, logits_of
from hierclf.scores.knn import KNN_BANK_LIMIT
from hierclf.scores.logit import energy
from hierclf.scores.rows import by_chunks, check_width, stratified_rows, unit_rows

GUIDE_K = 10


def fit_guide(
    inputs: ScoreInputs,
    labels: Labels,
    level: Level,
    *,
    k: int = GUIDE_K,
    bank_limit: int = KNN_BANK_LIMIT,
    seed: int = 0,
) -> State:
    """Keep the unit features of training images, each times its logsumexp(logits).

    Args:
        inputs: of M training images.
        labels: of the same images.
        level: whose logits.
        k: how many neighbours to average over; all of the bank if it holds fewer.
        bank_limit: of more training images than this a sample stratified by sub-class is kept.
        seed: of the sample.

    Returns:
        bank: float32 [min(M, bank_limit), D]. k: int64 [1].

    Raises:
        ValueError: `k` or `bank_limit` below 1.
    """
    for name, value in {"k": k, "bank_limit": bank_limit}.items():
        if value < 1:
            raise ValueError(f"`{name} >= 1` must hold, but got {name}={value}")
    rows = stratified_rows(labels.sub_labels, limit=bank_limit, seed=seed)
    confidence = -energy(logits_of(inputs, level)[rows])
    bank = unit_rows(inputs.features[rows]) * confidence[:, None]
    return {"bank": bank, "k": np.array([min(k, len(bank))], dtype=np.int64)}


def score_guide(state: State, inputs: ScoreInputs, level: Level) -> Floats:
    """-(logsumexp(logits) * guidance), in squared units of logits.

    Park et al. 2023, "Nearest Neighbor Guidance for Out-of-Distribution Detection". The guidance is
    the mean of the k largest products of cosine similarity and a training image's
    logsumexp(logits); as in the authors' code, the product decides which images are nearest.
    Assumes logsumexp > 0, which holds unless all logits are well below 0.

    Args:
        state: from `fit_guide` for the same level.
        inputs: of N images.
        level: whose logits.

    Raises:
        ValueError: another D than in training.
    """
    bank, k = state["bank"], int(state["k"][0])
    check_width(inputs.features, bank.shape[1])

    def guidance(rows: np.ndarray) -> np.ndarray:
        products = unit_rows(rows) @ bank.T
        products.partition(len(bank) - k, axis=1)
        return products[:, len(bank) - k :].mean(axis=1)

    guide = by_chunks(guidance, inputs.features, cells=len(bank))
    return energy(logits_of(inputs, level)) * guide


def guide_score(*, k: int = GUIDE_K, bank_limit: int = KNN_BANK_LIMIT) -> Score:
    """`fit_guide` and `score_guide` in the form of a `Score`."""
    return Score(
        fit=lambda inputs, labels, level: fit_guide(
            inputs, labels, level, k=k, bank_limit=bank_limit
        ),
        score=score_guide,
    )
