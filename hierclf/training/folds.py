"""Class-holdout folds: which classes a model never sees, and which images it trains on.

Three kinds of folds. A `sub` fold hides one part of the sub-classes of every super-class; over all
sub folds every sub-class is hidden once. A `super` fold hides one whole super-class. A `mixed` fold
hides both, a super-class and a share of the sub-classes of each other one, as it is where new
images are of either kind. In each fold the images of the known classes are divided, stratified by
sub-class, into train and val; all images of hidden classes are held_out, so that no image of a
hidden class is ever trained on.

The `reference` fold hides nothing: its network knows what the final one knows, and its val images
say how that one will score known images.

Shapes: N images, S super-classes, C sub-classes.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hierclf.hierarchy import Hierarchy
from hierclf.training.split import draw_val

REFERENCE, SMALLER, REFIT = "reference", "smaller", "all"
"""Names of the three folds that hide no class."""
CALIBRATION = (REFERENCE, SMALLER)
"""The folds that say how the final network will score known images."""


@dataclass(frozen=True)
class Fold:
    """One class-holdout fold.

    Attributes:
        name: `sub0`, ..., `super0`, ..., `mixed0`, ..., `reference`, `smaller`, or `all` for the
            fold that trains on every image.
        known_super: int64, ascending model indices of the super-classes that training shows.
        known_sub: int64, the same for sub-classes.
        train, val, held_out: int64 row indices, ascending, pairwise disjoint.
    """

    name: str
    known_super: np.ndarray
    known_sub: np.ndarray
    train: np.ndarray
    val: np.ndarray
    held_out: np.ndarray


def sub_parts(hierarchy: Hierarchy, *, sub_folds: int, seed: int) -> np.ndarray:
    """Divide the sub-classes into parts of about equal size within every super-class.

    Args:
        sub_folds: number of parts wished for; never more than the largest super-class has
            sub-classes.

    Returns:
        int64 [C], the part of each sub-class, from 0; part i is what fold `sub{i}` hides.
    """
    sizes = np.bincount(hierarchy.sub_to_super, minlength=hierarchy.n_super)
    n_parts = min(sub_folds, int(sizes.max()))
    rng = np.random.default_rng([seed, 0])
    parts = np.empty(hierarchy.n_sub, dtype=np.int64)
    dealt = 0
    for super_index in range(hierarchy.n_super):
        subs = np.flatnonzero(np.asarray(hierarchy.sub_to_super) == super_index)
        # Dealing continues where the last super-class stopped, so that parts stay equal in size.
        parts[rng.permutation(subs)] = (dealt + np.arange(len(subs))) % n_parts
        dealt += len(subs)
    return parts


def plan_folds(
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    hierarchy: Hierarchy,
    *,
    sub_folds: int,
    super_folds: int,
    val_fraction: float,
    seed: int,
    mixed_folds: int = 0,
    mixed_share: float = 0.4,
    groups: np.ndarray | None = None,
    is_val: np.ndarray | None = None,
) -> list[Fold]:
    """Plan the sub folds, then the super folds, then the mixed folds.

    Args:
        super_labels, sub_labels: int64 [N], model indices; no novel ones.
        sub_folds: parts that the sub-classes are divided into; at most the number of sub-classes
            of the largest super-class.
        super_folds: upper limit; there are at most S. With S <= 2 there is none, since a
            super-class head needs two known super-classes.
        val_fraction: fraction of every known sub-class's images that goes to val, at least one
            image.
        seed: same seed, same folds.
        mixed_folds: upper limit; at most one for each super-class, and none with S <= 2.
        mixed_share: in (0, 1), the share of the sub-classes of every super-class left that a mixed
            fold hides; at least one is hidden and at least one stays, where there are two.
        groups: int64 [N], the same number for images that are all in train or all in val; None
            where each image is on its own.
        is_val: bool [N], images that are val in every fold that knows their class, whatever
            `val_fraction`; None where there are none.

    A super-class with a single sub-class is never hidden by a sub fold: that would hide the
    super-class too.

    Raises:
        ValueError: every super-class has one sub-class only, so that nothing can be hidden.
    """
    sizes = np.bincount(hierarchy.sub_to_super, minlength=hierarchy.n_super)
    if sizes.max() < 2:
        raise ValueError("sub folds need a super-class with 2 sub-classes or more, but all have 1")
    parts = sub_parts(hierarchy, sub_folds=sub_folds, seed=seed)
    sub_to_super = np.asarray(hierarchy.sub_to_super)
    hideable = sizes[sub_to_super] >= 2
    hidden: list[tuple[str, np.ndarray]] = [
        (f"sub{part}", (parts == part) & hideable) for part in np.unique(parts)
    ]
    n_super_folds = min(super_folds, hierarchy.n_super) if hierarchy.n_super > 2 else 0
    order = np.random.default_rng([seed, 1]).permutation(hierarchy.n_super)[:n_super_folds]
    hidden += [(f"super{i}", sub_to_super == s) for i, s in enumerate(order)]
    n_mixed_folds = min(mixed_folds, hierarchy.n_super) if hierarchy.n_super > 2 else 0
    hidden += _mixed(sub_to_super, n_mixed_folds, share=mixed_share, seed=seed)
    make = partial(
        _make_fold, super_labels, sub_labels, fraction=val_fraction, groups=groups, is_val=is_val
    )
    return [
        make(name, mask, seed=[seed, 2, number])
        for number, (name, mask) in enumerate(hidden)
        if mask.any()
    ]


def _mixed(
    sub_to_super: np.ndarray, n_folds: int, *, share: float, seed: int
) -> list[tuple[str, np.ndarray]]:
    """Names and hidden sub-classes, bool [C], of the mixed folds."""
    if not 0.0 < share < 1.0:
        raise ValueError(f"`0 < mixed_share < 1` must hold, but got mixed_share={share}")
    rng = np.random.default_rng([seed, 3])
    folds = []
    for i, hidden_super in enumerate(rng.permutation(sub_to_super.max() + 1)[:n_folds]):
        hidden = sub_to_super == hidden_super
        for other in np.unique(sub_to_super[~hidden]):
            subs = rng.permutation(np.flatnonzero(sub_to_super == other))
            hidden[subs[: min(max(1, round(share * len(subs))), len(subs) - 1)]] = True
        folds.append((f"mixed{i}", hidden))
    return folds


def reference_fold(
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    *,
    val_fraction: float,
    seed: int,
    groups: np.ndarray | None = None,
    is_val: np.ndarray | None = None,
) -> Fold:
    """The fold that hides nothing and keeps val images; arguments as of `plan_folds`."""
    nothing = np.zeros(sub_labels.max() + 1, dtype=bool)
    return _make_fold(
        super_labels,
        sub_labels,
        REFERENCE,
        nothing,
        fraction=val_fraction,
        seed=[seed, 4],
        groups=groups,
        is_val=is_val,
    )


def smaller_fold(
    reference: Fold,
    sub_labels: np.ndarray,
    *,
    val_fraction: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> Fold:
    """The reference fold with as many images again left out of its training; the same val images.

    What the scores of the same images change by, from this network to the reference's, is about
    what they change by from the reference's to the final one, which trains on every image.

    Args:
        reference: as `reference_fold` made it. sub_labels: int64 [N].
        val_fraction: the fraction of all images that the reference leaves out.
        seed: same seed, same fold.
        groups: int64 [N], images to keep on one side.
    """
    in_train = np.zeros(len(sub_labels), dtype=bool)
    in_train[reference.train] = True
    left_out = draw_val(
        sub_labels,
        in_train,
        fraction=min(val_fraction / (1.0 - val_fraction), 0.5),
        rng=np.random.default_rng([seed, 6]),
        groups=groups,
    )
    return replace(reference, name=SMALLER, train=np.flatnonzero(in_train & ~left_out))


def refit_fold(super_labels: np.ndarray, sub_labels: np.ndarray) -> Fold:
    """The fold that hides nothing and trains on every image."""
    nothing = np.empty(0, dtype=np.int64)
    return Fold(
        name=REFIT,
        known_super=np.unique(super_labels),
        known_sub=np.unique(sub_labels),
        train=np.arange(len(sub_labels)),
        val=nothing,
        held_out=nothing,
    )


def _make_fold(
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    name: str,
    hidden_sub: np.ndarray,
    *,
    fraction: float,
    seed: list[int],
    groups: np.ndarray | None,
    is_val: np.ndarray | None,
) -> Fold:
    held_out = hidden_sub[sub_labels]
    in_val = draw_val(
        sub_labels,
        ~held_out,
        fraction=fraction,
        rng=np.random.default_rng(seed),
        groups=groups,
        is_val=is_val,
    )
    return Fold(
        name=name,
        known_super=np.unique(super_labels[~held_out]),
        known_sub=np.unique(sub_labels[~held_out]),
        train=np.flatnonzero(~held_out & ~in_val),
        val=np.flatnonzero(in_val),
        held_out=np.flatnonzero(held_out),
    )
