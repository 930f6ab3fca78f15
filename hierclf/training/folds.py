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

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

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


def folds_hiding(
    hidden: Mapping[str, np.ndarray],
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    *,
    val_fraction: float,
    seed: int,
    groups: np.ndarray | None = None,
    is_val: np.ndarray | None = None,
) -> list[Fold]:
    """The folds that hide given sub-classes, in the order of `hidden`.

    Args:
        hidden: bool [C] by the name of a fold; see `hidden_classes`.
        super_labels, sub_labels: int64 [N], model indices; no novel ones.
        val_fraction: fraction of every known sub-class's images that goes to val, at least one
            image.
        seed: same seed, same folds.
        groups: int64 [N], the same number for images that are all in train or all in val; None
            where each image is on its own.
        is_val: bool [N], images that are val in every fold that knows their class, whatever
            `val_fraction`; None where there are none.
    """
    make = partial(
        _make_fold, super_labels, sub_labels, fraction=val_fraction, groups=groups, is_val=is_val
    )
    return [
        make(name, mask, seed=[seed, 2, number])
        for number, (name, mask) in enumerate(hidden.items())
        if mask.any()
    ]


def reference_fold(
    super_labels: np.ndarray,
    sub_labels: np.ndarray,
    *,
    val_fraction: float,
    seed: int,
    groups: np.ndarray | None = None,
    is_val: np.ndarray | None = None,
) -> Fold:
    """The fold that hides nothing and keeps val images; arguments as of `folds_hiding`."""
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
