"""The class-holdout folds of drawn labels, for tests."""

from typing import Any

import numpy as np

from hierclf.hierarchy import Hierarchy
from hierclf.training.folds import Fold, folds_hiding
from hierclf.training.hidden_classes import plan_hidden


def plan_folds(
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    hierarchy: Hierarchy,
    *,
    seed: int,
    val_fraction: float,
    groups: np.ndarray | None = None,
    is_val: np.ndarray | None = None,
    **hidden: Any,
) -> list[Fold]:
    """The folds that hide what `plan_hidden` says."""
    return folds_hiding(
        plan_hidden(hierarchy, seed=seed, **hidden).folds,
        super_labels,
        sub_labels,
        val_fraction=val_fraction,
        seed=seed,
        groups=groups,
        is_val=is_val,
    )
