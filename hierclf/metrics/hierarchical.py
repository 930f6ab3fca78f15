"""Hierarchical metrics: balanced accuracy, severity of mistakes, consistency.

Pure functions of arrays with one row per image. A figure without rows is None, never NaN.

Shape legend: N images, C known sub-classes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hierclf.hierarchy import NOVEL


def balanced_accuracy(true: ArrayLike, pred: ArrayLike) -> float | None:
    """Mean recall over classes; `NOVEL` is one class.

    Each class has the same weight, however many images it has. Classes that are predicted but have
    no rows are left out.

    Args:
        true, pred: integers [N], model indices of one level or `NOVEL`.

    Returns:
        The mean recall in [0, 1]; None without rows.

    Raises:
        ValueError: arrays that are not integers of one shape [N].
    """
    rows = _columns(true=true, pred=pred)
    if not len(rows["true"]):
        return None
    _, class_of, counts = np.unique(rows["true"], return_inverse=True, return_counts=True)
    right = np.bincount(class_of, weights=rows["true"] == rows["pred"], minlength=len(counts))
    return float((right / counts).mean())


def hierarchical_distance(
    true_super: ArrayLike, true_sub: ArrayLike, pred_super: ArrayLike, pred_sub: ArrayLike
) -> float | None:
    """Mean height of the lowest common ancestor of true and predicted class, over all rows.

    Lower is better. In the tree root - super - sub the height is 0 if both levels are right, 1 if
    only the super-class is, 2 if the super-class is wrong, whatever the sub-class. The novel
    sub-class is a child of every super-class, the novel super-class a child of the root (Bertinetto
    et al. 2020, "Making Better Mistakes", hierarchical distance of the top-1 prediction).

    Args:
        true_super, true_sub, pred_super, pred_sub: integers [N], model indices or `NOVEL`.

    Returns:
        The mean height in [0, 2]; None without rows.

    Raises:
        ValueError: arrays that are not integers of one shape [N].
    """
    return _mean(_heights(true_super, true_sub, pred_super, pred_sub))


def mistake_severity(
    true_super: ArrayLike, true_sub: ArrayLike, pred_super: ArrayLike, pred_sub: ArrayLike
) -> float | None:
    """Mean height as in `hierarchical_distance`, over wrong rows only; lower is better.

    It does not depend on the number of mistakes, so that a worse classifier can have the lower
    severity: report it beside the distance (Bertinetto et al. 2020, "Making Better Mistakes").

    Args:
        true_super, true_sub, pred_super, pred_sub: integers [N], model indices or `NOVEL`.

    Returns:
        The mean height in [1, 2]; None if no row is wrong.

    Raises:
        ValueError: arrays that are not integers of one shape [N].
    """
    heights = _heights(true_super, true_sub, pred_super, pred_sub)
    return _mean(heights[heights > 0])


def consistency_rate(
    pred_super: ArrayLike, pred_sub: ArrayLike, sub_to_super: ArrayLike
) -> float | None:
    """Fraction of rows whose two predictions are consistent with the tree, right or wrong.

    A known sub-class is consistent with its own super-class only; the novel sub-class is consistent
    with every super-class, including the novel one.

    Args:
        pred_super, pred_sub: integers [N], model indices or `NOVEL`.
        sub_to_super: integers [C], the super-class of each sub-class.

    Returns:
        The fraction in [0, 1]; None without rows.

    Raises:
        ValueError: predictions that are not integers of one shape [N], a sub-class outside
            `NOVEL`..C-1, or a parent below 0.
    """
    rows = _columns(pred_super=pred_super, pred_sub=pred_sub)
    supers, subs = rows["pred_super"], rows["pred_sub"]
    parents = _columns(sub_to_super=sub_to_super)["sub_to_super"]
    if (parents < 0).any():
        raise ValueError(f"`sub_to_super >= 0` must hold, but got {parents[parents < 0][0]}")
    outside = (subs < NOVEL) | (subs >= len(parents))
    if outside.any():
        raise ValueError(
            f"`pred_sub` must lie in {NOVEL}..{len(parents) - 1}, but got {subs[outside][0]}"
        )
    known = subs != NOVEL
    agrees = np.ones(len(subs), dtype=bool)
    agrees[known] = parents[subs[known]] == supers[known]
    return _mean(agrees)


def _heights(
    true_super: ArrayLike, true_sub: ArrayLike, pred_super: ArrayLike, pred_sub: ArrayLike
) -> NDArray[np.int64]:
    rows = _columns(
        true_super=true_super, true_sub=true_sub, pred_super=pred_super, pred_sub=pred_sub
    )
    super_right = rows["true_super"] == rows["pred_super"]
    sub_right = rows["true_sub"] == rows["pred_sub"]
    return np.where(super_right, np.where(sub_right, 0, 1), 2)


def _mean(values: NDArray[np.generic]) -> float | None:
    return float(values.mean()) if len(values) else None


def _columns(**columns: ArrayLike) -> dict[str, NDArray[np.int64]]:
    """Check integer arrays of one length, by name; an empty list of any dtype passes."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    for name, array in arrays.items():
        if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
            raise ValueError(
                f"`{name}` must be integers of shape [N], "
                f"but got {array.dtype} of shape {array.shape}"
            )
    lengths = [len(array) for array in arrays.values()]
    if len(set(lengths)) != 1:
        raise ValueError(
            f"{', '.join(f'`{n}`' for n in arrays)} must have one length, but got {lengths}"
        )
    return {name: array.astype(np.int64) for name, array in arrays.items()}
