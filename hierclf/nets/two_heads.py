"""TwoHeadNet: a shared backbone, features, and a linear head for each level.

Shape legend: B images, S known super-classes, C known sub-classes, D features.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hierclf.nets.backbones import Backbone
from hierclf.nets.preprocessing import normalise
from hierclf.scores import ScoreInputs


class Outputs(NamedTuple):
    """What the network says about a batch.

    Attributes:
        features: float [B, D], the backbone's pooled features.
        super_logits: float [B, S], or [B, S + 1] with the extra novel unit as last column.
        sub_logits: float [B, C], or [B, C + 1].
    """

    features: Tensor
    super_logits: Tensor
    sub_logits: Tensor


class TwoHeads(nn.Module):
    """Two linear heads on one feature vector.

    Args:
        n_features: D.
        n_super, n_sub: S and C.
        novel_output: append the "novel" unit of the two-head paper to each head. No training
            image carries that label, so the unit only learns to stay low; thresholds look at the
            known classes alone (`known_outputs`).
    """

    def __init__(
        self, n_features: int, n_super: int, n_sub: int, *, novel_output: bool = False
    ) -> None:
        super().__init__()
        extra = int(novel_output)
        self.n_super, self.n_sub = n_super, n_sub
        self.super_head = nn.Linear(n_features, n_super + extra)
        self.sub_head = nn.Linear(n_features, n_sub + extra)

    def forward(self, features: Tensor) -> Outputs:
        return Outputs(features, self.super_head(features), self.sub_head(features))


class TwoHeadNet(nn.Module):
    """Backbone and heads; images in [0, 1] go in, normalisation happens inside."""

    def __init__(self, backbone: Backbone, heads: TwoHeads) -> None:
        super().__init__()
        self.backbone = backbone.module
        self.heads = heads
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def features(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] in [0, 1] -> float [B, D]."""
        return self.backbone(normalise(images, self.mean, self.std))

    def forward(self, images: Tensor) -> Outputs:
        return self.heads(self.features(images))


def known_outputs(outputs: Outputs, n_super: int, n_sub: int) -> Outputs:
    """Cut the novel unit off, so that maxima and softmax run over known classes only."""
    return outputs._replace(
        super_logits=outputs.super_logits[:, :n_super], sub_logits=outputs.sub_logits[:, :n_sub]
    )


def score_inputs(outputs: Outputs) -> ScoreInputs:
    """What the network says as float32 arrays."""
    features, super_logits, sub_logits = (tensor.float().cpu().numpy() for tensor in outputs)
    return ScoreInputs(features, super_logits, sub_logits)
