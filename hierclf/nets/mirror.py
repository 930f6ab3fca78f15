"""Features averaged over an image and its mirror image, in evaluation.

Heads are linear: the mean of features gives the mean of logits, and scores of features see it, too.
"""

import torch
from torch import Tensor, nn

MIRROR = "+mirror"
"""What follows the name of a backbone whose features are averaged."""


class Mirrored(nn.Module):
    """A backbone that evaluates both images; in training, it is the backbone itself.

    Args:
        module: float [B, 3, H, W] to features [B, D].
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            return self.module(images)
        # In one call: batch normalisation is only folded in where a layer is called once.
        features = self.module(torch.cat([images, images.flip(-1)]))
        return features.unflatten(0, (2, -1)).mean(0)
