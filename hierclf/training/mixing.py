"""Mixing each image of a batch with another one, and with it both of their labels.

Shape legend: B images.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hierclf.config import TrainConfig

Mix = Callable[[Tensor], tuple[Tensor, float]]
"""float [B, 3, H, W] -> the images, each mixed with the one before it (the first with the last),
and the share that is its own, in [0, 1]."""


def make_mix(config: TrainConfig) -> Mix | None:
    """torchvision's MixUp (Zhang et al., ICLR 2018) or CutMix (Yun et al., ICCV 2019).

    Both draw from torch's global generator on the CPU.

    Args:
        config: the section `train`; None is returned where it mixes nothing.
    """
    if config.mix == "none":
        return None
    from torchvision.transforms import v2  # its import takes seconds, which others are spared

    kinds = {
        "mixup": v2.MixUp(alpha=config.mix_alpha),
        "cutmix": v2.CutMix(alpha=config.mix_alpha),
    }
    draw = v2.RandomChoice(list(kinds.values())) if config.mix == "both" else kinds[config.mix]

    def mix(images: Tensor) -> tuple[Tensor, float]:
        # It mixes one label an image. Here it is the image's number, on the CPU: nothing waits.
        mixed, shares = draw(images, torch.eye(len(images)))
        return mixed, float(shares[0, 0])

    return mix
