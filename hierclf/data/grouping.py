"""Images that belong together, and images that a user keeps for validation.

A table may have a column `group`: the images of one burst, animal, patient, camera or place, which
every train / validation split keeps on one side. A column `split` (train, val or test) names the
validation images themselves; test images are left out before.

Shape legend: N images.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.data.listing import Problem, Row
from hierclf.data.splits import TRAIN, VAL, split_of

GROUP, SPLIT = "group", "split"


def row_groups(rows: Sequence[Row]) -> NDArray[np.int64] | None:
    """The number of each row's group, int64 [N]; None where the table has no such column."""
    if not rows or rows[0].group is None:
        return None
    return _numbers([row.group or "" for row in rows])


def row_is_val(rows: Sequence[Row]) -> NDArray[np.bool_] | None:
    """Whether each row's split is val, bool [N]; None where the table has no such column."""
    if not rows or rows[0].split is None:
        return None
    return np.array([split_of(row.split or "") == VAL for row in rows])


def groups_by_name(names: Sequence[str], pattern: str) -> NDArray[np.int64]:
    """The number of each image's group, int64 [N], from the image names.

    Args:
        names: N image names.
        pattern: a regular expression, searched for in each name. Its first capture group, or the
            whole match where it has none, names the image's group.

    Raises:
        ValueError: a name that the pattern does not match.
    """
    found = [re.search(pattern, name) for name in names]
    without = [name for name, match in zip(names, found, strict=True) if match is None]
    if without:
        raise ValueError(
            f"data.group_by={pattern!r} must match every image name, but {len(without)} of "
            f"{len(names)} do not match (first: {without[0]!r})"
        )
    # A capture group that takes no part in the match is None: such images have no name in common.
    return _numbers([m[1 if m.re.groups else 0] or m.string for m in found if m is not None])


def check_rows(rows: Sequence[Row], sub_names: Mapping[int, str], problems: list[Problem]) -> None:
    """Add what is wrong with the columns `group` and `split`.

    Args:
        rows: those of the table, missing images included.
        sub_names: of each sub-class id.
        problems: the list to add to.
    """
    cells = _cell_problems(rows)
    problems += cells
    found = [row for row in rows if not row.missing]
    if found and not cells:
        problems += division_problems(
            np.array([row.sub_id for row in found], dtype=np.int64),
            sub_names.__getitem__,
            groups=row_groups(found),
            is_val=row_is_val(found),
        )


def _cell_problems(rows: Sequence[Row]) -> list[Problem]:
    """Empty cells of the column `group`, and cells of `split` that name no split."""
    problems = []
    empty = [row.where for row in rows if row.group == ""]
    if empty:
        what = counted(len(empty), "cell is empty", "cells are empty")
        what += f" (first: {empty[0]}); every image needs a group"
        problems.append(Problem(f"column {GROUP!r}", what, True))
    odd = [r for r in rows if r.split is not None and split_of(r.split) not in (TRAIN, VAL)]
    if odd:
        what = f"every cell must be train, val or test, but {odd[0].where} holds {odd[0].split!r}"
        if len(odd) > 1:
            what += f" (and {counted(len(odd) - 1, 'more is neither', 'more are neither')})"
        problems.append(Problem(f"column {SPLIT!r}", what, True))
    return problems


def division_problems(
    sub_labels: NDArray[np.int64],
    name_of: Callable[[int], str],
    *,
    groups: NDArray[np.int64] | None,
    is_val: NDArray[np.bool_] | None,
) -> list[Problem]:
    """What keeps sub-classes from being divided into training and validation images.

    Args:
        sub_labels: int64 [N].
        name_of: the name of a sub-class, from its label.
        groups: int64 [N], numbers of the groups that a user named.
        is_val: bool [N], the user's own split.
    """
    problems = []
    images = pd.DataFrame({"sub": sub_labels})
    if is_val is not None:
        n_val = images.assign(val=is_val).groupby("sub")["val"].agg(["sum", "size"])
        for sub in n_val.index[n_val["sum"] == n_val["size"]]:
            what = "the split column leaves it without training images"
            problems.append(Problem(f"sub-class {name_of(sub)!r}", what, True))
        without = n_val.index[n_val["sum"] == 0]
        if len(without):
            what = counted(
                len(without),
                "sub-class has no val image: val images are drawn for it",
                "sub-classes have no val image: val images are drawn for them",
            )
            problems.append(
                Problem(f"column {SPLIT!r}", f"{what} (first: {name_of(without[0])!r})", False)
            )
    elif groups is not None:
        n_groups = images.assign(group=groups).groupby("sub")["group"].nunique()
        for sub in n_groups.index[n_groups == 1]:
            what = "all its images are in one group, which leaves nothing to validate on"
            problems.append(Problem(f"sub-class {name_of(sub)!r}", what, True))
    if is_val is not None and groups is not None:
        sides = pd.DataFrame({"group": groups, "val": is_val}).groupby("group")["val"].nunique()
        if (both := int((sides > 1).sum())) > 0:
            what = counted(both, "group has images", "groups have images")
            what += " in train and in val, which flatters accuracy"
            problems.append(Problem(f"column {SPLIT!r}", what, False))
    return problems


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    return pd.factorize(np.array(names, dtype=object))[0].astype(np.int64)
