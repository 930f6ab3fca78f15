"""Which images of no known class train, and which choose and judge: no image does both.

Shape legend: M images.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import NOVEL_NAME
from hierclf.training.image_groups import linked

_WITHOUT_NAME = ("?", NOVEL_NAME)


def has_name(class_names: Sequence[str]) -> NDArray[np.bool_]:
    """Which classes have a name at the sub level, as "bird/ostrich" has and "bird/?" has not."""
    return np.array([name.rpartition("/")[2] not in _WITHOUT_NAME for name in class_names])


def which_train(
    classes: NDArray[np.int64],
    class_names: Sequence[str],
    new_supers: NDArray[np.int64],
    super_labels: NDArray[np.int64],
    copies: NDArray[np.int64],
    *,
    seed: int,
) -> NDArray[np.bool_]:
    """Deal novel images out by class: half of the classes train, the others choose and judge.

    A new super-class is dealt out as a whole, and so are classes that share near-copies. Images
    whose sub-class has no name are dealt out one by one, near-copies together. Classes of known, of
    new and of unknown super-classes are each divided in halves; of an odd number, the one more
    judges.

    Args:
        classes: int64 [M], the number of each image's class.
        class_names: by that number, as in `NovelSource`.
        new_supers: int64, by that number, as in `NovelSource`.
        super_labels: int64 [M], model indices, NOVEL or UNLABELLED.
        copies: int64 [K, 2], pairs of images that are near-copies.
        seed: same seed, same division.

    Returns:
        bool [M], True for an image that trains.
    """
    named = has_name(class_names)
    units = np.where(named[classes], classes, len(named) + np.arange(len(classes)))
    units = np.where(new_supers[classes] >= 0, -1 - new_supers[classes], units)
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    units = linked(first[unit], copies)
    trains = np.zeros(len(classes), dtype=bool)
    rng = np.random.default_rng([seed, 8])
    # The super-labels below 0 are those of new and of unknown super-classes.
    kinds = np.minimum(super_labels[units], 0)
    for kind in np.unique(kinds):
        dealt = rng.permutation(np.unique(units[kinds == kind]))
        trains |= np.isin(units, dealt[1::2])
    return trains


def divided(
    classes: NDArray[np.int64], trains: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Number the classes anew, those that judge before those that train.

    Args:
        classes: int64 [M].
        trains: bool [M]; a class without a name may have images of both kinds and becomes two.

    Returns:
        The new numbers, int64 [M]; the former number of each new class; how many classes judge.
    """
    pairs, numbers = np.unique(np.stack([trains, classes]), axis=1, return_inverse=True)
    return numbers.reshape(-1), pairs[1], int((pairs[0] == 0).sum())
