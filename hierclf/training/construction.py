"""What a configuration trains on the images or features at hand, and what feeds it."""

from typing import Literal

import numpy as np
import torch
from torch import nn

from hierclf.config import Config
from hierclf.nets.backbones import build_backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.training.folds import Fold
from hierclf.training.inputs import Inputs, feature_inputs, image_inputs
from hierclf.training.outliers import Outliers, outlier_rows
from hierclf.training.prepare import Prepared


def build_network(
    fold: Fold, prepared: Prepared, config: Config
) -> tuple[nn.Module, Literal["bilinear", "bicubic"]]:
    """Two heads on features, or a whole network on images, and how it wants images resized."""
    n_super, n_sub = len(fold.known_super), len(fold.known_sub)
    novel_output = config.model.novel_output
    if prepared.features is not None:
        width = prepared.features.shape[2]
        return TwoHeads(width, n_super, n_sub, novel_output=novel_output), "bilinear"
    backbone = build_backbone(config.model.backbone, config.model.weights)
    heads = TwoHeads(backbone.n_features, n_super, n_sub, novel_output=novel_output)
    net = TwoHeadNet(backbone, heads).to(memory_format=torch.channels_last)
    return net, backbone.interpolation


def build_inputs(
    prepared: Prepared,
    config: Config,
    device: torch.device,
    interpolation: Literal["bilinear", "bicubic"],
) -> Inputs:
    """What feeds a network: features where there are some, else images."""
    if prepared.features is not None:
        return feature_inputs(
            prepared.features,
            strength=config.train.strength,
            max_strength=config.max_strength,
            device=device,
        )
    return image_inputs(
        prepared.cache.images,
        size=config.model.image_size,
        crop_fraction=config.model.crop_fraction,
        interpolation=interpolation,
        strength=config.train.strength,
        device=device,
        augmentation=config.train.augmentation,
    )


def novel_inputs(
    prepared: Prepared,
    config: Config,
    device: torch.device,
    interpolation: Literal["bilinear", "bicubic"],
) -> Inputs:
    """What feeds a network with images of no known class; there must be some."""
    assert prepared.novel is not None
    own = prepared._replace(cache=prepared.novel.cache, features=prepared.novel.features)
    return build_inputs(own, config, device, interpolation)


def unlabelled_inputs(
    prepared: Prepared,
    config: Config,
    device: torch.device,
    interpolation: Literal["bilinear", "bicubic"],
) -> tuple[np.ndarray, Inputs] | None:
    """The images without labels that train, int64 rows, and what feeds a network with them."""
    if prepared.unlabelled is None:
        return None
    own = prepared._replace(cache=prepared.unlabelled.cache)
    return prepared.unlabelled.rows, build_inputs(own, config, device, interpolation)


def build_outliers(
    fold: Fold,
    prepared: Prepared,
    config: Config,
    device: torch.device,
    interpolation: Literal["bilinear", "bicubic"],
) -> Outliers | None:
    """The images of no known class that a fold's network trains on; None for none."""
    novel = prepared.novel
    if novel is None or config.train.outlier == "none":
        return None
    rows = outlier_rows(novel, fold, prepared.cache.hierarchy)
    if not len(rows):
        return None
    inputs = novel_inputs(prepared, config, device, interpolation)
    return Outliers(novel, rows, inputs, device, seed=config.seed)
