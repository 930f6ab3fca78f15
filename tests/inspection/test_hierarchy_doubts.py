"""Claims about sub-classes under a wrong super-class, and sub-classes that are two."""

import numpy as np
import pytest

from hierclf.inspection.misplaced import misplaced, super_shares
from hierclf.inspection.two_in_one import _holm, divided, two_in_one
from tests.inspection.drawn_classes import classes

PARENTS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_a_sub_class_under_the_wrong_super_class_is_named_and_hardly_any_other() -> None:
    others = 0
    for seed in range(6):
        features, labels = classes(PARENTS, 25, seed=seed)
        given = np.array(PARENTS)
        assert misplaced(features, labels, given) == []
        given[5] = 2
        found = misplaced(features, labels, given)
        (moved,) = [one for one in found if one.sub == 5]
        assert moved.nearer == 1
        assert moved.share > 0.9 > 0.1 > moved.own
        others += len(found) - 1
    assert others <= 1  # it may draw a sibling along


def test_the_shares_of_a_sub_class_sum_to_one_and_one_alone_is_not_judged() -> None:
    features, labels = classes([0, 0, 1, 1, 2], 10)
    shares = super_shares(features, labels, np.array([0, 0, 1, 1, 2, 2]))
    np.testing.assert_allclose(shares[:4].sum(axis=1), 1)
    assert np.isnan(shares[4:]).all()  # alone, and without images


@pytest.mark.parametrize("seed", range(3))
def test_a_class_merged_from_two_is_named_with_both_halves_and_no_other(seed: int) -> None:
    features, truth = classes(PARENTS, 30, seed=seed)
    labels = np.where(truth == 4, 3, truth)
    merged = np.where(truth == 6, 5, labels)
    found = two_in_one(features, merged, np.arange(len(labels)), seed=seed)
    assert {one.label for one in found} == {3, 5}
    for one in found:
        halves = [set(truth[rows].tolist()) for rows in (one.first, one.second)]
        assert halves in ([{one.label}, {one.label + 1}], [{one.label + 1}, {one.label}])


@pytest.mark.parametrize("kind", ["normal", "uniform", "heavy tails", "skewed"])
def test_classes_of_one_heap_are_not_named(kind: str) -> None:
    named = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(20), 24)
        noise = {
            "normal": rng.normal(size=(480, 32)),
            "uniform": rng.uniform(-2, 2, size=(480, 32)),
            "heavy tails": rng.standard_t(3, size=(480, 1)) * rng.normal(size=(480, 32)),
            "skewed": rng.exponential(size=(480, 32)),
        }[kind] / np.sqrt(np.arange(1, 33))
        features = (2 * rng.normal(size=(20, 32)))[labels] + noise
        named += len(two_in_one(features.astype(np.float32), labels, np.arange(480), seed=seed))
    assert named <= 1  # of 80 classes; at 5 % a set, 4 sets name 2 or more with 1.4 %


def test_copies_count_once() -> None:
    features, labels = classes([0, 0], 15)
    copied, labels = features.repeat(4, axis=0), np.zeros(120, dtype=np.int64)
    groups = np.arange(30).repeat(4)
    (found,) = two_in_one(copied, labels, groups)
    assert sorted((len(found.first), len(found.second))) == [60, 60]
    assert two_in_one(copied, labels, groups // 2) == []  # 15 are too few


def test_the_division_is_the_best_of_all() -> None:
    where = np.random.default_rng(0).normal(size=40)
    ordered = np.sort(where)
    within = {
        size: size * ordered[:size].var() + (40 - size) * ordered[size:].var()
        for size in range(6, 35)  # each part holds 15 % or more
    }
    best = min(within, key=within.__getitem__)
    left, cut = divided(where)
    assert left == pytest.approx(within[best] / (40 * where.var()))
    assert (where <= cut).sum() == best


def test_holm_rejects_as_counted_by_hand() -> None:
    assert _holm([0.01, 0.02, 0.04]) == 3  # 0.05 / 3, / 2, / 1
    assert _holm([0.01, 0.03, 0.04]) == 1
    assert _holm([0.02, 0.021, 0.022]) == 0
    assert _holm([]) == 0
