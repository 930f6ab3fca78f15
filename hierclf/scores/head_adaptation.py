"""Adaptation of the pretrained classifier head to images unlike those it was trained on.

Shape legend: M training images, K known sub-classes, P classes of the pretrained head, D features.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import cross_entropy

from hierclf.scores.base import PretrainedHead
from hierclf.scores.rows import stratified_rows

ADAPT_LIMIT = 20_000
_EPOCHS, _BATCH, _LR, _PENALTY = 15, 128, 2e-3, 1e-3


def adapt_head(
    head: PretrainedHead, features: np.ndarray, labels: np.ndarray, means: NDArray[np.float64]
) -> PretrainedHead:
    """Adapt a pretrained head to images unlike those it was trained on: smaller, blurred, drawn.

    Each known class is matched with one class of the head (one-to-one assignment by mean log
    probability). Then a scale and a shift per feature are trained so that the otherwise fixed head
    predicts the matched classes (Lian et al. 2022, "Scaling & Shifting Your Features"); this also
    improves its reading of novel classes. Adam, 15 epochs, a quadratic penalty; seeded.

    Args:
        head: the head as published.
        features: float [M, D].
        labels: int [M], any values. Of more than 20,000 images a stratified sample is used.
        means: float64 [K, P], mean probabilities of the head over each label's images.

    Returns:
        The adapted head, for unchanged features: scale and shift are folded into weight and bias.
    """
    rows = stratified_rows(labels, limit=ADAPT_LIMIT, seed=0)
    _, index = np.unique(labels, return_inverse=True)
    target = torch.from_numpy(_matched(means)[index[rows]])
    x = torch.from_numpy(np.ascontiguousarray(head.inputs(features[rows])))
    weight, bias = torch.from_numpy(head.weight), torch.from_numpy(head.bias)
    scale, shift = (torch.zeros(x.shape[1], requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([scale, shift], lr=_LR)
    generator = torch.Generator().manual_seed(0)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(x), generator=generator).split(_BATCH):
            logits = (x[batch] * (1.0 + scale) + shift) @ weight.T + bias
            penalty = _PENALTY * ((scale**2).sum() + (shift**2).sum())
            optimizer.zero_grad()
            (cross_entropy(logits, target[batch]) + penalty).backward()
            optimizer.step()
    with torch.no_grad():
        weight, bias = weight * (1.0 + scale), bias + weight @ shift
        return PretrainedHead(weight.numpy(), bias.numpy(), head.rooted)


def _matched(means: NDArray[np.float64]) -> NDArray[np.int64]:
    """A class of the head for each known class, int64 [K], from mean probabilities [K, P]."""
    if len(means) > means.shape[1]:  # more known classes than the head has: not one-to-one
        return means.argmax(axis=1)
    _, columns = linear_sum_assignment(np.log(means + 1e-6), maximize=True)
    return columns.astype(np.int64)
