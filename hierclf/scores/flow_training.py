"""Training of a normalizing flow's coupling layers.

Shape legend: M training images, L coupling layers, H hidden units, R reduced dimensions.
"""

import numpy as np
import torch

from hierclf.scores.base import State
from hierclf.scores.flow import through_couplings
from hierclf.scores.one_thread import one_thread

_LAYERS, _HIDDEN = 6, 64
_STEPS, _BATCH, _LR, _WEIGHT_DECAY = 600, 256, 1e-2, 1e-2
# One in ten images judges the flow every 10 steps; without improvement in 10 turns, training ends.
_JUDGES, _TURN, _PATIENCE = 10, 10, 10


def train_couplings(points: np.ndarray, *, seed: int) -> State:
    """Train coupling layers by maximum likelihood: AdamW, at most 600 steps of 256 images.

    A tenth of the images is left out and decides when to stop. Of fewer than 10 images none can be,
    and the layers change nothing: the density is a standard normal one.

    Args:
        points: float32 [M, R], standardised.
        seed: of initial weights, masks, images left out and batches.

    Returns:
        mask [L, R], first [L, R, H], first_bias [L, H], last [L, H, 2 R], last_bias [L, 2 R]:
        float32; see `through_couplings`.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(points))
    n_judges = len(points) // _JUDGES
    judges, others = (torch.from_numpy(points[o]) for o in (order[:n_judges], order[n_judges:]))
    weights = _initial(points.shape[1], rng)
    with one_thread():
        best = _trained(weights, others, judges, rng) if n_judges else weights
    return {name: tensor.detach().numpy() for name, tensor in best.items()}


def _initial(width: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Weights of layers that change nothing yet."""
    masks = []
    for _ in range(_LAYERS // 2):  # two layers change every coordinate once
        half = rng.permutation(width) < width // 2
        masks += [half, ~half]
    first = rng.normal(size=(_LAYERS, width, _HIDDEN)) / np.sqrt(width)
    arrays = {
        "mask": np.stack(masks),
        "first": first,
        "first_bias": np.zeros((_LAYERS, _HIDDEN)),
        "last": np.zeros((_LAYERS, _HIDDEN, 2 * width)),
        "last_bias": np.zeros((_LAYERS, 2 * width)),
    }
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


def _trained(
    weights: dict[str, torch.Tensor],
    points: torch.Tensor,
    judges: torch.Tensor,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """The weights at the step after which images left out were most likely."""
    learned = [tensor.requires_grad_() for name, tensor in weights.items() if name != "mask"]
    optimizer = torch.optim.AdamW(learned, lr=_LR, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    best, lowest, best_step = weights, np.inf, 0
    for step in range(_STEPS):
        if step % _TURN == 0:
            with torch.no_grad():
                loss = float(_loss(weights, judges))
            if loss < lowest:
                lowest, best_step = loss, step
                best = {name: tensor.detach().clone() for name, tensor in weights.items()}
            elif step - best_step >= _TURN * _PATIENCE:
                break
        batch = torch.from_numpy(rng.integers(len(points), size=_BATCH))
        optimizer.zero_grad()
        _loss(weights, points[batch]).backward()
        optimizer.step()
        schedule.step()
    return best


def _loss(weights: dict[str, torch.Tensor], points: torch.Tensor) -> torch.Tensor:
    """Mean minus log-likelihood of points [N, R], without its constant."""
    ends, log_determinants = through_couplings(weights, points, torch)
    return (0.5 * (ends**2).sum(dim=1) - log_determinants).mean()
