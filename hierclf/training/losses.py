"""Losses of the two heads, chosen by the configuration's `train` section.

A new loss is a function here and an entry in `make_loss`. All of it is computed in float32, and
nothing waits for the device.

Shape legend: B images, S super-classes, C sub-classes, K outputs of a head (its known classes, and
the novel unit if there is one), D features.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, normalize

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs

Loss = Callable[[Outputs, Tensor, Tensor], Tensor]
"""(outputs, super labels, sub labels) -> float scalar, the mean over the batch."""

_TINY = 1e-6


class Tree(NamedTuple):
    """Which sub-class belongs to which super-class, on the device that trains.

    Attributes:
        parents: int64 [C], the super-class of each sub-class.
        members: float32 [C, S], 1 where a sub-class belongs to a super-class.
    """

    parents: Tensor
    members: Tensor


def make_tree(parents: Tensor) -> Tree:
    """The tree of the classes that the heads know.

    Args:
        parents: int64 [C], the super-class of each sub-class; every super-class has one.
    """
    return Tree(parents, _one_hot(parents, int(parents.max()) + 1))


def make_loss(config: TrainConfig, tree: Tree) -> Loss:
    """The loss that a configuration names.

    Args:
        config: the section `train`.
        tree: of the classes that the heads know.
    """

    def loss(outputs: Outputs, super_labels: Tensor, sub_labels: Tensor) -> Tensor:
        outputs = Outputs(*(tensor.float() for tensor in outputs))
        total = _heads_loss(outputs, super_labels, sub_labels, config, tree)
        if config.consistency:
            logits = outputs.super_logits, outputs.sub_logits
            total = total + config.consistency * consistency_loss(*logits, tree)
        if config.contrastive:
            contrast = contrastive_loss(
                outputs.features,
                (super_labels, sub_labels),
                temperature=config.contrastive_temperature,
            )
            total = total + config.contrastive * contrast
        return total

    return loss


def two_head_loss(
    outputs: Outputs, super_labels: Tensor, sub_labels: Tensor, *, sub_weight: float
) -> Tensor:
    """Cross-entropy of the super head plus sub_weight times that of the sub head.

    Args:
        outputs: logits [B, S] and [B, C], with or without a novel unit.
        super_labels, sub_labels: int64 [B], indices among the classes the heads know.

    Returns:
        float scalar, the mean over the batch.
    """
    return cross_entropy(outputs.super_logits.float(), super_labels) + sub_weight * cross_entropy(
        outputs.sub_logits.float(), sub_labels
    )


def _heads_loss(
    outputs: Outputs, super_labels: Tensor, sub_labels: Tensor, config: TrainConfig, tree: Tree
) -> Tensor:
    """The loss of the two heads without the terms that are added to it; arguments as a `Loss`."""
    if config.logit_norm is not None:
        outputs = outputs._replace(
            super_logits=logit_norm(outputs.super_logits, temperature=config.logit_norm),
            sub_logits=logit_norm(outputs.sub_logits, temperature=config.logit_norm),
        )
    if config.loss == "cross_entropy" and not config.label_smoothing:
        return two_head_loss(outputs, super_labels, sub_labels, sub_weight=config.sub_weight)
    n_sub, n_super = tree.members.shape
    if config.loss == "soft_labels":
        same = _one_hot(super_labels, n_super)
        super_targets = soft_labels(1 - same, beta=config.soft_beta)
        distances = tree_distances(sub_labels, tree)
        sub_targets = soft_labels(distances, beta=config.soft_beta)
    else:
        super_targets = _one_hot(super_labels, n_super)
        sub_targets = _one_hot(sub_labels, n_sub)
    super_targets = smoothed(super_targets, config.label_smoothing)
    sub_targets = smoothed(sub_targets, config.label_smoothing)
    # The novel unit, the last where there is one, is no image's label.
    super_log = log_softmax(outputs.super_logits, 1)[:, :n_super]
    sub_log = log_softmax(outputs.sub_logits, 1)[:, :n_sub]
    if config.loss == "focal":
        super_loss = focal_loss(super_log, super_targets, gamma=config.focal_gamma)
        sub_loss = focal_loss(sub_log, sub_targets, gamma=config.focal_gamma)
    else:
        super_loss = -(super_targets * super_log).sum(1).mean()
        sub_loss = -(sub_targets * sub_log).sum(1).mean()
    if config.loss == "hierarchical":
        sub_loss = hierarchical_loss(sub_log, sub_targets, tree, alpha=config.hierarchical_alpha)
    return super_loss + config.sub_weight * sub_loss


def _one_hot(labels: Tensor, n_classes: int) -> Tensor:
    """int64 [B] to float32 [B, n_classes]; torch's own waits for the device to check the labels."""
    return (labels[:, None] == torch.arange(n_classes, device=labels.device)).float()


def smoothed(targets: Tensor, fraction: float) -> Tensor:
    """Label smoothing (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016).

    Args:
        targets: float [B, C], the label as probabilities of the known classes.
        fraction: of every label, spread evenly over the C classes; in [0, 1).
    """
    return (1 - fraction) * targets + fraction / targets.shape[1]


def tree_distances(labels: Tensor, tree: Tree) -> Tensor:
    """Height of the lowest common ancestor of the label and each sub-class, as part of the tree's.

    Args:
        labels: int64 [B], sub-classes.

    Returns:
        float32 [B, C]: 0 for the label, 0.5 for another sub-class of its super-class, 1 for others.
    """
    same = _one_hot(labels, len(tree.parents))
    sibling = tree.members.T[tree.parents[labels]]
    return 1 - 0.5 * sibling - 0.5 * same


def soft_labels(distances: Tensor, *, beta: float) -> Tensor:
    """Labels by distance (Bertinetto et al., "Making Better Mistakes", CVPR 2020).

    Args:
        distances: float [B, C] in [0, 1], of each class from the label.
        beta: how fast they fall; 0 makes all classes alike.

    Returns:
        float [B, C], each row a softmax of -beta times the distances.
    """
    return torch.softmax(-beta * distances, 1)


def focal_loss(log_probs: Tensor, targets: Tensor, *, gamma: float) -> Tensor:
    """Focal loss over a softmax (after Lin et al., "Focal Loss", ICCV 2017).

    Args:
        log_probs: float32 [B, C], logarithms of probabilities.
        targets: float32 [B, C], the label as probabilities.
        gamma: at least 0; 0 gives the cross-entropy.

    Returns:
        float scalar, the mean over images of -sum(targets * (1 - p)^gamma * log p).
    """
    # Below gamma = 1, the power's slope is infinite where p is 1.
    wrong = (-torch.expm1(log_probs)).clamp_min(_TINY)
    return -(targets * wrong**gamma * log_probs).sum(1).mean()


def hierarchical_loss(log_probs: Tensor, targets: Tensor, tree: Tree, *, alpha: float) -> Tensor:
    """Hierarchical cross-entropy of the sub head (Bertinetto et al., CVPR 2020).

    A sub-class's probability is that of its super-class times the rest; each has a cross-entropy.

    Args:
        log_probs: float32 [B, C], logarithms of the sub-classes' probabilities.
        targets: float32 [B, C], the label as probabilities.
        tree: of the C sub-classes.
        alpha: the super-class's part weighs exp(-alpha); at least 0, which gives the cross-entropy.

    Returns:
        float scalar, the mean over images.
    """
    above = log_sum_by_super(log_probs, tree)
    of_super = ((targets @ tree.members) * above).sum(1)
    of_sub = (targets * (log_probs - above[:, tree.parents])).sum(1)
    return -(of_sub + math.exp(-alpha) * of_super).mean()


def consistency_loss(super_logits: Tensor, sub_logits: Tensor, tree: Tree) -> Tensor:
    """How far the heads are apart about the super-class (Garg et al., HAF, ECCV 2022).

    Args:
        super_logits: float32 [B, S], or [B, S + 1] with the novel unit.
        sub_logits: float32 [B, C], or [B, C + 1].
        tree: of the S and C classes.

    Returns:
        float scalar, the mean Jensen-Shannon divergence (0 to log 2) between the super head and the
        sub head summed over the sub-classes of each super-class; the novel units form a pair.
    """
    p, sub_log = log_softmax(super_logits, 1), log_softmax(sub_logits, 1)
    n_sub = len(tree.parents)
    q = torch.cat([log_sum_by_super(sub_log[:, :n_sub], tree), sub_log[:, n_sub:]], 1)
    middle = torch.logaddexp(p, q) - math.log(2)
    return 0.5 * (p.exp() * (p - middle) + q.exp() * (q - middle)).sum(1).mean()


def log_sum_by_super(logs: Tensor, tree: Tree) -> Tensor:
    """Logarithm of the sum over the sub-classes of each super-class, float32 [B, C] to [B, S]."""
    by_class = tree.parents.expand_as(logs)
    shape = len(logs), tree.members.shape[1]
    # The largest of each sum is taken out of it, so that no sum of tiny probabilities is 0.
    largest = logs.detach().new_full(shape, -math.inf)
    largest = largest.scatter_reduce(1, by_class, logs.detach(), "amax")
    sums = (logs - largest[:, tree.parents]).exp() @ tree.members
    return sums.log() + largest


def logit_norm(logits: Tensor, *, temperature: float) -> Tensor:
    """Logits of one length (Wei et al., "Mitigating Overconfidence with LogitNorm", ICML 2022).

    Args:
        logits: float32 [B, K].
        temperature: above 0; the length becomes 1 / temperature.
    """
    length = torch.linalg.vector_norm(logits, dim=1, keepdim=True)
    # The paper adds 1e-7; the gradient of logits near 0 would then overflow in float16.
    return logits / length.clamp_min(1e-3) / temperature


def contrastive_loss(features: Tensor, labels: tuple[Tensor, ...], *, temperature: float) -> Tensor:
    """Supervised contrastive loss at several levels, one after the other.

    The loss of a level (Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020) draws each
    image to those of its class in the batch. Summed over levels (as in Zhang et al., "Use All The
    Labels", CVPR 2022), sub-classes are drawn together, and to the others of their super-class.

    Args:
        features: float32 [B, D].
        labels: int64 [B] for each level.
        temperature: above 0.

    Returns:
        float scalar: the sum over levels of the mean over images that have another of their class.
    """
    directions = normalize(features, dim=1, eps=1e-3)
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    similar = (directions @ directions.T / temperature).masked_fill(itself, -math.inf)
    log_probs = log_softmax(similar, 1).masked_fill(itself, 0.0)
    total = features.new_zeros(())
    for of_level in labels:
        positive = (of_level[:, None] == of_level).masked_fill(itself, False).float()
        n_positive = positive.sum(1)
        each = -(positive * log_probs).sum(1) / n_positive.clamp_min(1)
        total = total + each.sum() / (n_positive > 0).sum().clamp_min(1)
    return total
