"""Which images of a set belong together: as the user says, or else as the images show.

Shape legend: N images, D features.
"""

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.data.cache import ImageCache
from hierclf.data.grouping import division_problems, groups_by_name
from hierclf.data.near_copies import near_copies, open_hashes
from hierclf.io.atomic import draft_of
from hierclf.io.locks import locked
from hierclf.training.bursts import find_bursts, neighbour_accuracies

_VERSION = 1  # part of a file's name: raise it when groups are found otherwise


def with_named_groups(cache: ImageCache, group_by: str | None, *, path: str) -> ImageCache:
    """The cache with the groups that a pattern gives, or else with its own; they are checked.

    Args:
        group_by: the pattern of `groups_by_name`; None keeps the groups of the data's own column.
        path: where the data are, for messages.

    Raises:
        ValueError: the pattern does not match a name, or a sub-class cannot be divided.
    """
    if group_by is not None:
        cache = replace(cache, groups=groups_by_name(cache.names, group_by))
    for problem in division_problems(
        cache.sub_labels, cache.hierarchy.sub_name, groups=cache.groups, is_val=cache.is_val
    ):
        line = f"{path}: {problem.where}: {problem.what}"
        if problem.fatal:
            raise ValueError(line)
        if group_by is not None:  # of the column, the source says it
            warnings.warn(line, stacklevel=3)
    return cache


def with_found_groups(
    cache: ImageCache, features: NDArray[np.float32] | None, *, directory: Path
) -> ImageCache:
    """The cache with groups of near-copies and bursts, found among the images of a sub-class.

    They are found once and kept in `directory` as a CSV. A warning says how many images they hold
    and what a random split would have promised; another one lists near-copies of different
    sub-classes, of which one label may be wrong.

    Args:
        cache: without groups.
        features: float32 [N, D] of the images as they are; without them, near-copies alone are
            found.
    """
    key = hashlib.sha256(f"{_VERSION} {cache.fingerprint}".encode())
    if features is not None:
        key.update(np.ascontiguousarray(features[:: max(1, len(features) // 64)]).tobytes())
    path = directory / f"groups-{key.hexdigest()[:20]}.csv"
    doubts = path.with_name(path.name.replace("groups", "label-doubts", 1))
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _write(cache, features, path, doubts)
    if len(found := pd.read_csv(doubts, usecols=["first", "second"], dtype=str)):
        pairs = counted(len(found), "pair of near-copies has", "pairs of near-copies have")
        warnings.warn(
            f"{pairs} different sub-classes, so one of the labels may be wrong "
            f"(first: {found['first'][0]} and {found['second'][0]}); see {doubts}",
            stacklevel=3,
        )
    table = pd.read_csv(path, usecols=["row", "group"])
    if not len(table):
        return cache
    groups = np.arange(len(cache.names))
    groups[table["row"]] = table["group"]
    line = (
        f"{len(table)} of {len(groups)} images are like others of their sub-class and form "
        f"{counted(table['group'].nunique(), 'group')}; every split keeps a group on one side"
    )
    if features is not None:
        among_all, of_others = neighbour_accuracies(features, cache.sub_labels, groups, seed=0)
        line += (
            f"; a random split would be optimistic: the nearest neighbour has the right sub-class "
            f"for {among_all:.0%} of the images, the nearest one of another group for "
            f"{of_others:.0%}"
        )
    warnings.warn(f"{line}; see {path}; data.group_by sets other groups", stacklevel=3)
    return replace(cache, groups=groups)


def find_groups(
    sub_labels: NDArray[np.int64],
    features: NDArray[np.float32] | None,
    copies: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Link near-copies and bursts of the same sub-class.

    Near-copies are left alone where they would link most of their sub-class's images, since nothing
    would be left to validate on.

    Args:
        sub_labels: int64 [N].
        features: float32 [N, D], or None.
        copies: int64 [M, 2], pairs of rows that are near-copies.

    Returns:
        int64 [N], the first row of each image's group.
    """
    bursts = np.arange(len(sub_labels)) if features is None else find_bursts(features, sub_labels)
    copies = copies[sub_labels[copies[:, 0]] == sub_labels[copies[:, 1]]]
    groups = linked(bursts, copies)
    n_images, sizes = np.bincount(sub_labels), np.bincount(groups, minlength=len(groups))
    largest = np.zeros_like(n_images)
    np.maximum.at(largest, sub_labels, sizes[groups])
    too_large = largest > np.maximum(n_images // 2, np.minimum(n_images - 1, 3))
    return linked(bursts, copies[~too_large[sub_labels[copies[:, 0]]]])


def linked(groups: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first row of each component, of groups that are first rows and pairs of rows."""
    # The processes that train import this file and link nothing.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(groups)
    left, right = np.append(np.arange(n), pairs[:, 0]), np.append(groups, pairs[:, 1])
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    _, first, number = np.unique(component, return_index=True, return_inverse=True)
    return first[number]


def _write(
    cache: ImageCache, features: NDArray[np.float32] | None, path: Path, doubts: Path
) -> None:
    hashes = open_hashes(cache)
    copies = np.empty((0, 2), dtype=np.int64) if hashes is None else near_copies(hashes)
    names, labels = np.array(cache.names, dtype=object), cache.sub_labels
    first, second = copies[labels[copies[:, 0]] != labels[copies[:, 1]]].T
    classes = np.array(cache.hierarchy.sub_names, dtype=object)
    pairs = {
        "first": names[first],
        "sub_class": classes[labels[first]],
        "second": names[second],
        "other_sub_class": classes[labels[second]],
    }
    groups = find_groups(labels, features, copies)
    table = pd.DataFrame({"group": groups, "row": np.arange(len(groups)), "image": names})
    table = table[table.duplicated("group", keep=False)].sort_values("group", kind="stable")
    for file, content in ((doubts, pd.DataFrame(pairs)), (path, table)):
        with draft_of(file) as draft:
            content.to_csv(draft, index=False)
