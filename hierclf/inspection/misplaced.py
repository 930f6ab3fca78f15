"""Sub-classes that look like another super-class than their own.

Each sub-class is hidden once: its images are given to the super-class whose other sub-classes they
are most like. A sub-class is named if most of its images go to one other super-class.

Shape legend: N images, D features, C sub-classes, S super-classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.inspection.held_out import ridge_scores, scaled

_PARTS = 10
_MOST = 0.5


class Misplaced(NamedTuple):
    """A sub-class that looks like another super-class.

    Attributes:
        sub: its index.
        nearer: index of the other super-class.
        share: fraction of its images that go there, in (0.5, 1].
        own: fraction that goes to its own super-class.
    """

    sub: int
    nearer: int
    share: float
    own: float


def misplaced(
    features: NDArray[np.float32],
    sub_labels: NDArray[np.int64],
    sub_to_super: NDArray[np.int64],
    *,
    seed: int = 0,
) -> list[Misplaced]:
    """The sub-classes most of whose images are like one other super-class, the clearest first.

    A sub-class that is alone in its super-class is not judged: hidden, it leaves nothing there.

    Args:
        features: float32 [N, D].
        sub_labels: int64 [N].
        sub_to_super: int64 [C].
        seed: of the parts of sub-classes that are hidden together.
    """
    shares = super_shares(features, sub_labels, sub_to_super, seed=seed)
    found = []
    for sub in np.flatnonzero(np.isfinite(shares).all(axis=1)):
        nearer, own = int(shares[sub].argmax()), int(sub_to_super[sub])
        if nearer != own and shares[sub, nearer] > _MOST:
            share = float(shares[sub, nearer])
            found.append(Misplaced(int(sub), nearer, share, float(shares[sub, own])))
    return sorted(found, key=lambda one: one.own - one.share)


def super_shares(
    features: NDArray[np.float32],
    sub_labels: NDArray[np.int64],
    sub_to_super: NDArray[np.int64],
    *,
    seed: int = 0,
) -> NDArray[np.float64]:
    """The fraction of each sub-class's images that are most like each super-class.

    Args:
        features, sub_labels, sub_to_super, seed: as for `misplaced`.

    Returns:
        float64 [C, S]; NaN for sub-classes that are alone in their super-class or have no images.
    """
    inputs, n_super = scaled(features), int(sub_to_super.max()) + 1
    parts = _parts(sub_labels, sub_to_super, seed)
    shares = np.full((len(sub_to_super), n_super), np.nan)
    for part in range(int(parts.max()) + 1):
        hidden = parts[sub_labels] == part
        if not hidden.any() or hidden.all():
            continue
        known = sub_to_super[sub_labels[~hidden]]
        scores = ridge_scores(inputs[~hidden], known, inputs[hidden], n_super)
        nearest, labels = scores.argmax(axis=1), sub_labels[hidden]
        for sub in np.unique(labels):
            if sub_to_super[sub] in known:
                votes = np.bincount(nearest[labels == sub], minlength=n_super)
                shares[sub] = votes / votes.sum()
    return shares


def _parts(
    sub_labels: NDArray[np.int64], sub_to_super: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """The part that each sub-class is hidden with, int64 [C]; -1 for those without images.

    At least two parts for each super-class of two sub-classes, so that one of them stays.
    """
    rng = np.random.default_rng(seed)
    parts = np.full(len(sub_to_super), -1)
    present = np.isin(np.arange(len(sub_to_super)), sub_labels)
    dealt = 0
    for parent in np.unique(sub_to_super):
        own = rng.permutation(np.flatnonzero((sub_to_super == parent) & present))
        parts[own] = (dealt + np.arange(len(own))) % _PARTS
        dealt += len(own)
    return parts
