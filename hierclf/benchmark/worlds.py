"""Draw many small worlds from one data set: in each, some groups of classes are known, others new.

The sub-classes are regrouped into ten or more groups, which take the place of super-classes. In
each world, some groups are known and the others new. Some sub-classes of the known groups are new,
too, and some images of the known sub-classes are test images. A search sees only the rest.

Shape legend: N images, C sub-classes, G groups, D features.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.data.csv_tables import read_csv
from hierclf.data.listing import Problem
from hierclf.hierarchy import Hierarchy
from hierclf.training.folds import REFIT, Fold, reference_fold
from hierclf.training.hidden_classes import sub_parts
from hierclf.training.prepare import plan

MIN_KNOWN, MAX_KNOWN = 3, 8
NEAR_FRACTION = 0.25
JUDGED_FRACTION = 0.2


def read_groups(path: Path, hierarchy: Hierarchy) -> NDArray[np.int64]:
    """The group of each sub-class, int64 [C], from a CSV with the columns `class` and `group`.

    Raises:
        ValueError: the file cannot be read, a class is unknown, appears twice or has no group.
    """
    problems: list[Problem] = []
    rows = read_csv(path, ("class", "group"), problems)
    if problems:
        raise ValueError(f"{problems[0].where}: {problems[0].what}")
    index = {name: i for i, name in enumerate(hierarchy.sub_names)}
    group_of: dict[int, str] = {}
    for where, (name, group) in rows:
        if name not in index or index[name] in group_of:
            what = "is not a class of the data" if name not in index else "appears twice"
            raise ValueError(f"{where}: {name!r} {what}")
        group_of[index[name]] = group
    if len(group_of) < hierarchy.n_sub:
        absent = next(name for name in hierarchy.sub_names if index[name] not in group_of)
        raise ValueError(f"{path.name}: every class needs a group, but {absent!r} has none")
    names = sorted(set(group_of.values()))
    return np.array([names.index(group_of[i]) for i in range(hierarchy.n_sub)])


def cluster_groups(
    features: np.ndarray, sub_labels: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """The group of each sub-class, int64 [C], by Ward clustering of the mean unit features.

    Args:
        features: float [N, D].
        sub_labels: int64 [N]; every class has images.
        n_groups: G, at most C.
    """
    from sklearn.cluster import AgglomerativeClustering

    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.stack([unit[sub_labels == c].mean(axis=0) for c in range(sub_labels.max() + 1)])
    clustering = AgglomerativeClustering(n_clusters=n_groups, linkage="ward")
    return clustering.fit_predict(means).astype(np.int64)


def regrouped(cache: ImageCache, groups: NDArray[np.int64]) -> ImageCache:
    """The cache with groups, int64 [C] from 0 to G - 1, in place of its super-classes."""
    n_groups = int(groups.max()) + 1
    hierarchy = replace(
        cache.hierarchy,
        super_names=tuple(f"group {i}" for i in range(n_groups)),
        sub_to_super=tuple(groups.tolist()),
        super_ids=tuple(range(n_groups)),
        novel_super_id=n_groups,
    )
    return replace(cache, super_labels=groups[cache.sub_labels], hierarchy=hierarchy)


def draw_world(cache: ImageCache, seed: int) -> Fold:
    """Draw a world of a regrouped cache; its test images are `val` (known) and `held_out` (new).

    Between 3 and 8 groups are known, except a quarter of their sub-classes; all other groups are
    new. A fifth of the images of every known sub-class are test images.

    Raises:
        ValueError: fewer than 4 groups.
    """
    groups = np.asarray(cache.hierarchy.sub_to_super)
    n_groups = int(groups.max()) + 1
    if n_groups <= MIN_KNOWN:
        raise ValueError(f"worlds need {MIN_KNOWN + 1} groups or more, but got {n_groups}")
    rng = np.random.default_rng([seed, 5])
    n_known = int(rng.integers(MIN_KNOWN, min(MAX_KNOWN, n_groups - 1) + 1))
    known_groups = rng.permutation(n_groups)[:n_known]
    known_sub = _without_new(rng.permutation(np.flatnonzero(np.isin(groups, known_groups))), groups)
    known = np.isin(cache.sub_labels, known_sub)
    rows = np.flatnonzero(known)
    shown = reference_fold(
        *(np.unique(labels[rows], return_inverse=True)[1]
          for labels in (cache.super_labels, cache.sub_labels)),
        val_fraction=JUDGED_FRACTION,
        seed=seed,
        groups=None if cache.groups is None else cache.groups[rows],
    )  # fmt: skip
    return Fold(
        name=REFIT,
        known_super=np.unique(groups[known_sub]),
        known_sub=known_sub,
        train=rows[shown.train],
        val=rows[shown.val],
        held_out=np.flatnonzero(~known),
    )


def _without_new(subs: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sub-classes that stay known, ascending; the others are the first quarter of `subs`.

    Every group keeps at least one known sub-class. New sub-classes are drawn from all groups alike,
    as the folds draw the sub-classes that they hide: only then do the promises apply to them.
    """
    left = np.bincount(groups[subs], minlength=len(groups))
    new: list[int] = []
    for sub in subs.tolist():
        if len(new) < round(NEAR_FRACTION * len(subs)) and left[groups[sub]] > 1:
            left[groups[sub]] -= 1
            new.append(sub)
    return np.sort(np.setdiff1d(subs, new))


def inner_folds(cache: ImageCache, config: Config, outer: Fold) -> tuple[list[Fold], np.ndarray]:
    """The folds of a search that has only the training images of an outer fold.

    Returns:
        folds: the class-holdout folds and the all-known ones, with classes and rows of the whole
            cache; the last is the final network's, with the outer fold's `val` and `held_out`.
        parts: int64 [C], the part of each sub-class; 0 for those that the outer fold hides.
    """
    rows, supers, subs = outer.train, outer.known_super, outer.known_sub
    hierarchy = _only(cache.hierarchy, supers, subs)
    inside = replace(
        cache,
        super_labels=np.searchsorted(supers, cache.super_labels[rows]),
        sub_labels=np.searchsorted(subs, cache.sub_labels[rows]),
        hierarchy=hierarchy,
        groups=None if cache.groups is None else cache.groups[rows],
        is_val=None,  # the outer fold uses these as test images
    )
    folds = [
        Fold(
            name=fold.name,
            known_super=supers[fold.known_super],
            known_sub=subs[fold.known_sub],
            train=rows[fold.train],
            val=rows[fold.val],
            held_out=rows[fold.held_out],
        )
        for fold in plan(inside, config)
        if fold.name != REFIT
    ]
    parts = np.zeros(cache.hierarchy.n_sub, dtype=np.int64)
    parts[subs] = sub_parts(hierarchy, sub_folds=config.folds.sub, seed=config.seed)
    return [*folds, replace(outer, name=REFIT)], parts


def _only(hierarchy: Hierarchy, supers: np.ndarray, subs: np.ndarray) -> Hierarchy:
    """The part of a hierarchy with only the given classes (model indices, ascending)."""
    parents = np.asarray(hierarchy.sub_to_super)[subs]
    return replace(
        hierarchy,
        super_names=tuple(hierarchy.super_names[i] for i in supers),
        sub_names=tuple(hierarchy.sub_names[i] for i in subs),
        sub_to_super=tuple(np.searchsorted(supers, parents).tolist()),
        super_ids=tuple(hierarchy.super_ids[i] for i in supers),
        sub_ids=tuple(hierarchy.sub_ids[i] for i in subs),
    )
