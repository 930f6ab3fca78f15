"""Which images of the known classes validate: whole groups, stratified by sub-class.

Shape legend: N images, C sub-classes.
"""

import numpy as np
from numpy.typing import NDArray


def draw_val(
    sub_labels: NDArray[np.int64],
    known: NDArray[np.bool_],
    *,
    fraction: float,
    rng: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
    is_val: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Draw the validation images of one fold.

    About `fraction` of every known sub-class's images are drawn, in whole groups: at least one
    image, and at least one is left for training. Where groups span sub-classes so that both cannot
    hold, the sub-class has no validation image.

    Args:
        sub_labels: int64 [N].
        known: bool [N], the images to draw from, such as those of the known classes.
        fraction: in (0, 1).
        rng: draws one permutation per known sub-class.
        groups: int64 [N], the same number for images to keep on one side; None where each image is
            on its own.
        is_val: bool [N], the user's own validation images. Nothing is drawn for a known sub-class
            that has one.

    Returns:
        bool [N], the images that validate.
    """
    in_val = np.zeros(len(sub_labels), dtype=bool) if is_val is None else is_val & known
    drawn_from = np.setdiff1d(sub_labels[known], sub_labels[in_val])
    if groups is not None:
        _draw_groups(in_val, sub_labels, known, groups, drawn_from, fraction, rng)
        return in_val
    rows_of = _members(sub_labels, np.flatnonzero(known))
    for sub in drawn_from.tolist():
        rows = rows_of[sub]
        in_val[rng.permutation(rows)[: _target(len(rows), fraction)]] = True
    return in_val


def _target(n_images: int, fraction: float) -> int:
    return min(max(1, round(fraction * n_images)), n_images - 1)


def _draw_groups(
    in_val: NDArray[np.bool_],
    sub_labels: NDArray[np.int64],
    known: NDArray[np.bool_],
    groups: NDArray[np.int64],
    drawn_from: NDArray[np.int64],
    fraction: float,
    rng: np.random.Generator,
) -> None:
    """Mark whole groups in `in_val`; the other arguments are those of `draw_val`."""
    members = _members(groups, np.flatnonzero(known & ~in_val))
    n_train = np.bincount(sub_labels[known & ~in_val], minlength=int(sub_labels.max()) + 1)
    n_val = np.bincount(sub_labels[in_val], minlength=len(n_train))
    taken: set[int] = set()

    def take(group: int) -> None:
        """Unless it is taken, or a sub-class would be left without training images."""
        own, counts = np.unique(sub_labels[members[group]], return_counts=True)
        if group not in taken and (n_train[own] - counts).min() > 0:
            taken.add(group)
            in_val[members[group]] = True
            n_train[own] -= counts
            n_val[own] += counts

    rows_of = _members(sub_labels, np.flatnonzero(known))
    for sub in drawn_from.tolist():
        rows = rows_of[sub]
        target = _target(len(rows), fraction)
        numbers, first, sizes = np.unique(groups[rows], return_index=True, return_counts=True)
        size_of = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
        for group in groups[rng.permutation(rows[np.sort(first)])].tolist():
            # A group may overshoot the target by no more than what is missing without it.
            if n_val[sub] < target and size_of[group] <= 2 * (target - n_val[sub]):
                take(group)
        for group in sorted(size_of, key=size_of.__getitem__):
            if not n_val[sub]:
                take(group)


def _members(groups: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Those of some ascending rows that are of each group, or class, ascending."""
    rows = rows[np.argsort(groups[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(groups[rows])) + 1
    return {int(groups[part[0]]): part for part in np.split(rows, cuts) if len(part)}
