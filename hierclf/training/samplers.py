"""In which order, and how often, an epoch shows its images.

Shape legend: N training images.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from hierclf.config import TrainConfig
from hierclf.scores import ScoreInputs


def epoch_order(
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    epoch: int,
    rng: np.random.Generator,
    train: TrainConfig,
    *,
    losses: Callable[[], NDArray[np.float32]],
) -> NDArray[np.int64]:
    """The training images as an epoch shows them, int64 [N], the same for all processes of a trial.

    Args:
        rows: int64 [N], indices of images.
        labels: int64 [N], the sub-class of each.
        epoch: its number, from 1.
        rng: source of all randomness.
        train: how images are drawn.
        losses: gives the loss of each image, [N], where it is asked for.
    """
    if train.sampling == "balanced":
        return balanced(rows, labels, rng)
    labelled = epoch - train.self_supervised  # epochs with labels, this one included
    if train.sampling == "shuffle" or labelled <= 1:  # a new network's losses say nothing
        return rng.permutation(rows)
    power = 1.0
    if train.sampling == "curriculum":
        rest = train.epochs - train.self_supervised
        power = min(0.0, (labelled - rest) / max(1, rest - 1))
    return by_loss(rows, losses(), rng, hardness=train.hardness**power)


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


def beside(
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    steps: int,
    size: int,
    rank: int,
    world: int,
) -> list[NDArray[np.int64]]:
    """Batches of other images beside those of an epoch: each is drawn once before one is again.

    Args:
        rows: int64, indices of the images, one or more.
        rng: source of all randomness, the same for all processes of a trial.
        steps: how many batches.
        size: images of a batch over all processes; there are no more than images, but one for each
            process at least.
        rank, world: this process, which computes every world-th image, and how many there are.
    """
    size = max(min(size, len(rows)), world)
    rounds = -(-steps * size // len(rows))
    order = np.concatenate([rng.permutation(rows) for _ in range(rounds)])
    return [order[step * size : (step + 1) * size][rank::world] for step in range(steps)]


def image_losses(
    outputs: ScoreInputs,
    super_labels: NDArray[np.int64],
    sub_labels: NDArray[np.int64],
    *,
    sub_weight: float,
) -> NDArray[np.float32]:
    """The cross-entropy of the super head plus sub_weight times that of the sub head, float32 [N].

    Args:
        outputs: logits [N, S] and [N, C].
        super_labels: int64 [N], columns of the logits.
        sub_labels: int64 [N], the same.
        sub_weight: as in training.
    """
    parts = [
        cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), reduction="none")
        for logits, labels in (
            (outputs.super_logits, super_labels),
            (outputs.sub_logits, sub_labels),
        )
    ]
    return (parts[0] + sub_weight * parts[1]).numpy()


def by_loss(
    rows: NDArray[np.int64],
    losses: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    hardness: float,
) -> NDArray[np.int64]:
    """Draw N of N images with replacement, by the rank of their losses.

    Chances form a geometric series (as in Loshchilov and Hutter, "Online Batch Selection", 2015).

    Args:
        rows: int64 [N], indices of images.
        losses: [N], finite.
        rng: source of all randomness.
        hardness: chance of the largest loss over that of the smallest, above 0.
    """
    ranks = np.argsort(np.argsort(losses, kind="stable")) / max(1, len(losses) - 1)
    weights = hardness**ranks
    return rng.choice(rows, size=len(rows), p=weights / weights.sum())


def of_first_worker(losses: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
    """The losses that the first worker has, in each of them, so that all draw the same images.

    Args:
        losses: float32 [N]; those of other workers are not looked at.
        device: on which the workers' process group communicates.
    """
    shared = torch.from_numpy(losses).to(device)
    torch.distributed.broadcast(shared, 0)
    return shared.cpu().numpy()
