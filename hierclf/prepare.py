"""From a configuration to what training needs: images, folds and, when frozen, features."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hierclf.backbones import build_backbone
from hierclf.cache import ImageCache, open_cache
from hierclf.config import Config
from hierclf.features import open_features
from hierclf.sources import open_source
from hierclf.splits import Fold, plan_folds, refit_fold

StageProgress = Callable[[str, int, int], None]


class Prepared(NamedTuple):
    """What training reads.

    Attributes:
        folds: by name, in the planned order; the last, `all`, hides nothing.
        features: float32 [V + 1, N, D] memory map, or None unless the backbone is frozen.
    """

    cache: ImageCache
    folds: dict[str, Fold]
    features: np.ndarray | None


def prepare(
    config: Config,
    *,
    directory: Path,
    device: torch.device,
    progress: StageProgress | None = None,
) -> Prepared:
    """Read, decode once, plan the folds, and compute frozen features once.

    Every process of a run calls this; all but the first find the work done and map it into memory.

    Args:
        directory: where decoded images and features are kept.
        progress: called as (what, done, total).

    Raises:
        ValueError: whatever is wrong with the data or the backbone, in one line.
    """

    def report(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    source = open_source(config.data.path)
    cache = open_cache(
        source,
        size=config.data.size,
        directory=directory,
        max_bad_share=config.data.max_bad_share,
        progress=report("decoding images"),
    )
    folds = plan_folds(
        cache.super_labels,
        cache.sub_labels,
        cache.hierarchy,
        sub_folds=config.folds.sub,
        super_folds=config.folds.super,
        val_fraction=config.folds.val_fraction,
        seed=config.seed,
    )
    folds.append(refit_fold(cache.super_labels, cache.sub_labels))
    features = None
    if config.model.freeze == "backbone":
        features = open_features(
            cache, config, directory=directory, device=device, progress=report("computing features")
        )
    else:
        # Whoever calls this first is told of a wrong backbone, before any training is started.
        build_backbone(config.model.backbone, config.model.weights)
    return Prepared(cache, {fold.name: fold for fold in folds}, features)
