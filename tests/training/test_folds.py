"""Claims about class-holdout folds: what is hidden, and that nothing hidden is ever trained on."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierclf.hierarchy import Hierarchy
from hierclf.training.folds import Fold, reference_fold, refit_fold, smaller_fold
from hierclf.training.hidden_classes import sub_parts
from tests.planned_folds import plan_folds


def hierarchy_of(sizes: list[int], seed: int = 0) -> Hierarchy:
    """Super-class i has sizes[i] sub-classes, whose indices are mixed among super-classes."""
    parents = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    return Hierarchy(
        super_names=tuple(f"super {i}" for i in range(len(sizes))),
        sub_names=tuple(f"sub {i}" for i in range(len(parents))),
        sub_to_super=tuple(parents.tolist()),
        super_ids=tuple(range(len(sizes))),
        sub_ids=tuple(range(len(parents))),
        novel_super_id=len(sizes),
        novel_sub_id=len(parents),
    )


def labels_of(hierarchy: Hierarchy, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """counts[c] images of sub-class c, in mixed order."""
    sub = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    return np.asarray(hierarchy.sub_to_super)[sub], sub


def plan(hierarchy: Hierarchy, counts: list[int], **options: object) -> list[Fold]:
    chosen = {"sub_folds": 3, "super_folds": 9, "val_fraction": 0.15, "seed": 0} | options
    return plan_folds(*labels_of(hierarchy, counts), hierarchy, **chosen)  # type: ignore[arg-type]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Hierarchy, list[int], int, float, int]:
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5).filter(lambda s: max(s) > 1))
    counts = draw(st.lists(st.integers(2, 9), min_size=sum(sizes), max_size=sum(sizes)))
    seed = draw(st.integers(0, 9))
    fraction = draw(st.sampled_from([0.01, 0.15, 0.5, 0.8]))
    return hierarchy_of(sizes, seed), counts, draw(st.integers(2, 7)), fraction, seed


@given(problems())
@settings(max_examples=80, deadline=None)
def test_no_image_of_a_hidden_class_is_trained_or_validated_on(
    problem: tuple[Hierarchy, list[int], int, float, int],
) -> None:
    hierarchy, counts, sub_folds, fraction, seed = problem
    super_labels, sub_labels = labels_of(hierarchy, counts)
    folds = plan(hierarchy, counts, sub_folds=sub_folds, val_fraction=fraction, seed=seed)
    assert folds
    for fold in folds:
        hidden = set(range(hierarchy.n_sub)) - set(fold.known_sub.tolist())
        assert hidden
        seen = np.concatenate([fold.train, fold.val])
        assert not hidden & set(sub_labels[seen].tolist())
        assert set(sub_labels[fold.held_out].tolist()) == hidden
        # Each known class is in both, and the three groups are every image once.
        for rows in (fold.train, fold.val):
            assert set(sub_labels[rows].tolist()) == set(fold.known_sub.tolist())
            assert set(super_labels[rows].tolist()) == set(fold.known_super.tolist())
        together = np.concatenate([seen, fold.held_out])
        assert sorted(together.tolist()) == list(range(len(sub_labels)))


@given(problems())
@settings(max_examples=80, deadline=None)
def test_sub_folds_hide_every_sub_class_once_and_no_whole_super_class(
    problem: tuple[Hierarchy, list[int], int, float, int],
) -> None:
    hierarchy, counts, sub_folds, fraction, seed = problem
    folds = plan(hierarchy, counts, sub_folds=sub_folds, val_fraction=fraction, seed=seed)
    hidden = np.zeros(hierarchy.n_sub, dtype=int)
    for fold in folds:
        if fold.name.startswith("sub"):
            assert fold.known_super.tolist() == list(range(hierarchy.n_super))
            hidden += ~np.isin(np.arange(hierarchy.n_sub), fold.known_sub)
    siblings = np.bincount(hierarchy.sub_to_super)[list(hierarchy.sub_to_super)]
    # The only sub-class of its super-class stays: to hide it would hide the super-class.
    np.testing.assert_array_equal(hidden, siblings > 1)


@given(problems())
@settings(max_examples=80, deadline=None)
def test_super_folds_hide_each_super_class_once_with_all_its_sub_classes(
    problem: tuple[Hierarchy, list[int], int, float, int],
) -> None:
    hierarchy, counts, _, fraction, seed = problem
    folds = [
        fold
        for fold in plan(hierarchy, counts, val_fraction=fraction, seed=seed)
        if fold.name.startswith("super")
    ]
    parents = np.asarray(hierarchy.sub_to_super)
    if hierarchy.n_super <= 2:
        assert folds == []
        return
    hidden = []
    for fold in folds:
        (gone,) = set(range(hierarchy.n_super)) - set(fold.known_super.tolist())
        np.testing.assert_array_equal(fold.known_sub, np.flatnonzero(parents != gone))
        hidden.append(gone)
    assert sorted(hidden) == list(range(hierarchy.n_super))


def test_parts_are_of_about_equal_size() -> None:
    parts = sub_parts(hierarchy_of([7, 4, 5, 2, 9]), sub_folds=5, seed=3)
    assert np.bincount(parts).tolist() == [6, 6, 5, 5, 5]


def test_fold_i_hides_part_i() -> None:
    hierarchy = hierarchy_of([3, 4, 5])
    parts = sub_parts(hierarchy, sub_folds=3, seed=8)
    folds = {fold.name: fold for fold in plan(hierarchy, [4] * 12, seed=8)}
    assert list(folds) == ["sub0", "sub1", "sub2", "super0", "super1", "super2"]
    for part in range(3):
        np.testing.assert_array_equal(folds[f"sub{part}"].known_sub, np.flatnonzero(parts != part))


def test_there_are_no_more_sub_folds_than_the_largest_super_class_can_fill() -> None:
    names = [fold.name for fold in plan(hierarchy_of([2, 3]), [4] * 5, sub_folds=7)]
    assert names == ["sub0", "sub1", "sub2"]


def test_val_is_15_percent_of_every_sub_class() -> None:
    hierarchy = hierarchy_of([2, 2])
    counts = [100, 20, 7, 40]
    _, sub_labels = labels_of(hierarchy, counts)
    for fold in plan(hierarchy, counts):
        in_val = np.bincount(sub_labels[fold.val], minlength=4)
        for sub in fold.known_sub:
            assert in_val[sub] == {100: 15, 20: 3, 7: 1, 40: 6}[counts[sub]]


@pytest.mark.parametrize("fraction", [0.01, 0.15, 0.8])
def test_a_class_of_two_images_has_one_in_train_and_one_in_val(fraction: float) -> None:
    hierarchy = hierarchy_of([2, 2])
    _, sub_labels = labels_of(hierarchy, [2] * 4)
    for fold in plan(hierarchy, [2] * 4, val_fraction=fraction):
        for rows in (fold.train, fold.val):
            assert sorted(sub_labels[rows]) == fold.known_sub.tolist()


def test_the_same_seed_gives_the_same_folds_and_another_seed_others() -> None:
    hierarchy = hierarchy_of([5, 5, 5])

    def flat(seed: int) -> list[tuple[str, list[int], list[int]]]:
        folds = plan(hierarchy, [10] * 15, seed=seed)
        return [(fold.name, fold.known_sub.tolist(), fold.val.tolist()) for fold in folds]

    assert flat(4) == flat(4)
    assert flat(4) != flat(5)


def test_fewer_super_folds_can_be_asked_for() -> None:
    hierarchy = hierarchy_of([2, 2, 2, 2])
    for wished, made in ((0, 0), (2, 2), (9, 4)):
        folds = plan(hierarchy, [4] * 8, super_folds=wished)
        assert sum(fold.name.startswith("super") for fold in folds) == made


def test_no_fold_divides_a_group_whatever_it_hides() -> None:
    hierarchy = hierarchy_of([3, 2, 3])
    labels = labels_of(hierarchy, [20] * 8)
    groups = np.random.default_rng(0).integers(0, 60, 160)
    options: dict[str, Any] = {"val_fraction": 0.15, "seed": 0, "groups": groups}
    folds = plan_folds(*labels, hierarchy, sub_folds=2, super_folds=3, mixed_folds=1, **options)
    for fold in [*folds, reference_fold(*labels, **options)]:
        assert len(fold.val)
        assert not set(groups[fold.train]) & set(groups[fold.val])


def test_the_users_validation_images_validate_in_every_fold_that_knows_their_class() -> None:
    hierarchy = hierarchy_of([3, 2, 3])
    labels = labels_of(hierarchy, [10] * 8)
    is_val = np.zeros(80, dtype=bool)
    for sub in range(8):
        is_val[np.flatnonzero(labels[1] == sub)[:3]] = True
    options: dict[str, Any] = {"val_fraction": 0.5, "seed": 0, "is_val": is_val}
    folds = plan_folds(*labels, hierarchy, sub_folds=2, super_folds=3, mixed_folds=1, **options)
    for fold in [*folds, reference_fold(*labels, **options)]:
        known = np.isin(labels[1], fold.known_sub)
        np.testing.assert_array_equal(fold.val, np.flatnonzero(is_val & known))
        np.testing.assert_array_equal(fold.train, np.flatnonzero(~is_val & known))
    assert refit_fold(*labels).train.tolist() == list(range(80))


def test_where_nothing_can_be_hidden_there_are_no_folds_but_a_reason() -> None:
    with pytest.raises(ValueError, match="2 sub-classes or more, but all have 1"):
        plan(hierarchy_of([1, 1, 1]), [4] * 3)


def test_the_reference_fold_knows_every_class_and_keeps_val_images_of_each() -> None:
    hierarchy = hierarchy_of([3, 2])
    labels = labels_of(hierarchy, [20] * 5)
    fold = reference_fold(*labels, val_fraction=0.15, seed=0)
    assert fold.known_sub.tolist() == list(range(5))
    assert np.bincount(labels[1][fold.val]).tolist() == [3] * 5
    assert sorted([*fold.train, *fold.val]) == list(range(100))
    assert not len(fold.held_out)


def test_the_refit_fold_trains_on_everything() -> None:
    hierarchy = hierarchy_of([2, 3])
    fold = refit_fold(*labels_of(hierarchy, [3] * 5))
    assert fold.train.tolist() == list(range(15))
    assert (len(fold.val), len(fold.held_out)) == (0, 0)
    assert (fold.known_super.tolist(), fold.known_sub.tolist()) == ([0, 1], [0, 1, 2, 3, 4])


@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(60), 2)])
def test_the_smaller_fold_leaves_out_as_many_images_again_and_validates_on_the_same(
    groups: np.ndarray | None,
) -> None:
    sub_labels = np.repeat(np.arange(6), 20)
    reference = reference_fold(sub_labels // 2, sub_labels, val_fraction=0.2, seed=0, groups=groups)
    smaller = smaller_fold(reference, sub_labels, val_fraction=0.2, seed=0, groups=groups)
    np.testing.assert_array_equal(smaller.val, reference.val)
    left_out = np.setdiff1d(reference.train, smaller.train)
    assert set(smaller.train) < set(reference.train)
    np.testing.assert_array_equal(np.bincount(sub_labels[left_out]), [4] * 6)
    assert smaller.name == "smaller"
