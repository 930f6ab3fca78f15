"""Losses on images of no known class, which are added to the loss of a batch.

Nothing here waits for the device.

Shape legend: B images of known classes, M images of none, K known classes of a level.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import log_softmax

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs, known_outputs
from hierclf.training.losses import Tree


class OutlierBatch(NamedTuple):
    """Images of no known class, in one step.

    Attributes:
        inputs: M images or features, as the network takes them.
        new_super: float32 [M], 1 where the super-class is new, too, and 0 where it is known or not
            labelled.
    """

    inputs: Tensor
    new_super: Tensor


OutlierLoss = Callable[[Outputs, Outputs, Tensor], Tensor]
"""(outputs of known classes, outputs of none, their `new_super`) -> float scalar. At the super
level, only images of new super-classes count."""


def make_outlier_loss(config: TrainConfig, tree: Tree) -> OutlierLoss | None:
    """The weighted term that a configuration names: that of the super level plus `sub_weight` times
    that of the sub level; None for none.

    Args:
        config: the section `train`.
        tree: of the classes that the heads know.
    """
    if config.outlier == "none":
        return None
    n_sub, n_super = tree.members.shape

    def of_level(known: Tensor, outliers: Tensor, counts: Tensor) -> Tensor:
        if config.outlier == "uniform":
            return uniform_loss(outliers, counts)
        low = config.outlier_energy - config.outlier_gap
        return energy_loss(known, outliers, counts, low=low, high=config.outlier_energy)

    def loss(known: Outputs, outliers: Outputs, new_super: Tensor) -> Tensor:
        known, outliers = (
            known_outputs(Outputs(*(tensor.float() for tensor in each)), n_super, n_sub)
            for each in (known, outliers)
        )
        of_super = of_level(known.super_logits, outliers.super_logits, new_super)
        every = new_super.new_ones(new_super.shape)
        of_sub = of_level(known.sub_logits, outliers.sub_logits, every)
        return config.outlier_weight * (of_super + config.sub_weight * of_sub)

    return loss


def uniform_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy to the uniform distribution (Hendrycks et al., "Deep Anomaly Detection with
    Outlier Exposure", ICLR 2019).

    Args:
        logits: float32 [M, K].
        counts: float32 [M], 1 for images that count, 0 for others.

    Returns:
        float scalar, the mean over the images that count of -1/K times the sum of log
        probabilities; 0 if none counts.
    """
    each = -log_softmax(logits, 1).mean(1)
    return (counts * each).sum() / counts.sum().clamp_min(1)


def energy_loss(
    known: Tensor, outliers: Tensor, counts: Tensor, *, low: float, high: float
) -> Tensor:
    """Squared hinge on energies E = -log sum exp(logits) (Liu et al., "Energy-based
    Out-of-distribution Detection", NeurIPS 2020).

    Args:
        known: float32 [B, K], logits of images of known classes.
        outliers: float32 [M, K], logits of images of none.
        counts: float32 [M], 1 for images of none that count, 0 for others.
        low: energy that images of known classes shall not exceed.
        high: energy that images of none shall reach; at least `low`.

    Returns:
        float scalar, the mean of max(0, E - low)^2 over images of known classes plus the mean of
        max(0, high - E)^2 over those of none that count; 0 if none counts.
    """
    n_counts = counts.sum()
    above = (-known.logsumexp(1) - low).clamp_min(0).square().mean()
    below = (counts * (high + outliers.logsumexp(1)).clamp_min(0).square()).sum()
    return above * n_counts.clamp_max(1) + below / n_counts.clamp_min(1)
