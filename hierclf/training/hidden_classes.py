"""Which sub-classes each class-holdout fold hides.

Shape legend: S super-classes, C sub-classes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hierclf.hierarchy import Hierarchy

FIRST_FOLDS = ("sub0", "super0")
"""The first fold of each kind: a search chooses hyper-parameters on these."""


class Hidden(NamedTuple):
    """Which sub-classes the folds hide.

    Attributes:
        parts: int64 [C], the part of each sub-class, as `sub_parts` gives it.
        folds: bool [C] by the name of a fold, True for what it hides; a fold of which nothing is
            left to hide is not made.
    """

    parts: np.ndarray
    folds: Mapping[str, np.ndarray]


def sub_parts(hierarchy: Hierarchy, *, sub_folds: int, seed: int) -> np.ndarray:
    """Divide the sub-classes into parts of about equal size within every super-class.

    Args:
        sub_folds: number of parts wished for; never more than the largest super-class has
            sub-classes.

    Returns:
        int64 [C], the part of each sub-class, from 0; part i is what fold `sub{i}` hides.
    """
    sub_to_super = np.asarray(hierarchy.sub_to_super)
    sizes = np.bincount(sub_to_super, minlength=hierarchy.n_super)
    n_parts = min(sub_folds, int(sizes.max()))
    rng = np.random.default_rng([seed, 0])
    parts = np.empty(hierarchy.n_sub, dtype=np.int64)
    dealt = 0
    for super_index in range(hierarchy.n_super):
        subs = np.flatnonzero(sub_to_super == super_index)
        # Dealing continues where the last super-class stopped, so that parts stay equal in size.
        parts[rng.permutation(subs)] = (dealt + np.arange(len(subs))) % n_parts
        dealt += len(subs)
    return parts


def plan_hidden(
    hierarchy: Hierarchy,
    *,
    sub_folds: int,
    super_folds: int,
    seed: int,
    mixed_folds: int = 0,
    mixed_share: float = 0.4,
) -> Hidden:
    """Which sub-classes the sub folds, the super folds and the mixed folds hide, in this order.

    A super-class with a single sub-class is never hidden by a sub fold: that would hide the
    super-class too.

    Args:
        hierarchy: all classes.
        sub_folds: parts that the sub-classes are divided into; at most the number of sub-classes
            of the largest super-class.
        super_folds: upper limit; there are at most S. With S <= 2 there is none, since a
            super-class head needs two known super-classes.
        seed: same seed, same folds.
        mixed_folds: upper limit; at most one for each super-class, and none with S <= 2.
        mixed_share: in (0, 1), the share of the sub-classes of every super-class left that a mixed
            fold hides; at least one is hidden and at least one stays, where there are two.

    Raises:
        ValueError: every super-class has one sub-class only, so that nothing can be hidden.
    """
    sub_to_super = np.asarray(hierarchy.sub_to_super)
    sizes = np.bincount(sub_to_super, minlength=hierarchy.n_super)
    if sizes.max() < 2:
        raise ValueError("sub folds need a super-class with 2 sub-classes or more, but all have 1")
    parts = sub_parts(hierarchy, sub_folds=sub_folds, seed=seed)
    hidden = sub_fold_masks(parts, sub_to_super)
    n_super_folds = min(super_folds, hierarchy.n_super) if hierarchy.n_super > 2 else 0
    order = np.random.default_rng([seed, 1]).permutation(hierarchy.n_super)[:n_super_folds]
    hidden |= {f"super{i}": sub_to_super == s for i, s in enumerate(order)}
    n_mixed_folds = min(mixed_folds, hierarchy.n_super) if hierarchy.n_super > 2 else 0
    return Hidden(parts, hidden | _mixed(sub_to_super, n_mixed_folds, share=mixed_share, seed=seed))


def sub_fold_masks(parts: np.ndarray, sub_to_super: np.ndarray) -> dict[str, np.ndarray]:
    """What the sub folds hide, bool [C] by name: a part each, without single sub-classes.

    Args:
        parts: int64 [C].
        sub_to_super: int64 [C].
    """
    hideable = np.bincount(sub_to_super)[sub_to_super] >= 2
    return {f"sub{part}": (parts == part) & hideable for part in np.unique(parts)}


def _mixed(
    sub_to_super: np.ndarray, n_folds: int, *, share: float, seed: int
) -> dict[str, np.ndarray]:
    """What the mixed folds hide, bool [C] by name."""
    if not 0.0 < share < 1.0:
        raise ValueError(f"`0 < mixed_share < 1` must hold, but got mixed_share={share}")
    rng = np.random.default_rng([seed, 3])
    folds = {}
    for i, hidden_super in enumerate(rng.permutation(sub_to_super.max() + 1)[:n_folds]):
        hidden = sub_to_super == hidden_super
        for other in np.unique(sub_to_super[~hidden]):
            subs = rng.permutation(np.flatnonzero(sub_to_super == other))
            hidden[subs[: min(max(1, round(share * len(subs))), len(subs) - 1)]] = True
        folds[f"mixed{i}"] = hidden
    return folds
