"""Small folds of drawn pictures, and training on them."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch

from hierclf.config import Config, parse_config
from hierclf.data.cache import ImageCache
from hierclf.data.demo import DEMO_HIERARCHY
from hierclf.scores import PRETRAINED_SCORES, SCORES
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import refit_fold
from hierclf.training.prepare import Prepared
from hierclf.training.replica import ALONE, Replica
from tests.planned_folds import plan_folds

CPU = torch.device("cpu")
ALL_SCORES = tuple(name for name in SCORES if name not in PRETRAINED_SCORES)
# Model indices that the demo hierarchy gives its 16 known sub-classes.
PARENTS = np.array(DEMO_HIERARCHY.sub_to_super)


def colours(*, per_class: int = 6, size: int = 16) -> ImageCache:
    """Noisy pictures, each sub-class of a colour of its own."""
    rng = np.random.default_rng(0)
    sub = rng.permutation(np.repeat(np.arange(len(PARENTS)), per_class))
    grid = np.array(list(product((40, 128, 215), repeat=3)))
    palette = rng.permutation(grid)[: len(PARENTS), None, None]
    noise = rng.integers(-25, 26, (len(sub), size, size, 3))
    return ImageCache(
        images=(palette[sub] + noise).astype(np.uint8),
        names=[f"{i}.png" for i in range(len(sub))],
        super_labels=PARENTS[sub],
        sub_labels=sub,
        hierarchy=DEMO_HIERARCHY,
        fingerprint="colours",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
    )


CACHE = colours()
FOLDS = {
    fold.name: fold
    for fold in plan_folds(
        CACHE.super_labels,
        CACHE.sub_labels,
        DEMO_HIERARCHY,
        sub_folds=3,
        super_folds=1,
        val_fraction=0.34,
        seed=0,
    )
}
FOLDS["all"] = refit_fold(CACHE.super_labels, CACHE.sub_labels)
# Features by chance, one bank of an evaluation view and two others.
BANK = np.random.default_rng(0).normal(size=(3, len(CACHE.names), 10)).astype(np.float32)


def config_of(*, seed: int = 0, novel_output: bool = False, **train: Any) -> Config:
    model = {"backbone": "smallnet", "weights": "none", "image_size": 16, "crop_fraction": 1.0}
    return parse_config(
        {
            "model": model | {"novel_output": novel_output},
            "train": {"epochs": 2, "batch_size": 8, "lr": 5e-3, "precision": "fp32"} | train,
            "seed": seed,
        }
    )


def run_of(
    config: Config | None = None,
    fold: str = "sub0",
    *,
    features: np.ndarray | None = None,
    replica: Replica = ALONE,
) -> FoldRun:
    prepared = Prepared(CACHE, FOLDS, features, None)
    return FoldRun(FOLDS[fold], prepared, config or config_of(), CPU, replica=replica)


def assert_same_state(a: FoldRun, b: FoldRun) -> None:
    left, right = a.net.state_dict(), b.net.state_dict()
    assert list(left) == list(right)
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name
