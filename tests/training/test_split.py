"""Claims about the division of known images into train and val, group by group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hierclf.training.split import draw_val


def draw(sub: np.ndarray, fraction: float = 0.2, seed: int = 0, **options: object) -> np.ndarray:
    known = options.pop("known", np.ones(len(sub), dtype=bool))
    rng = np.random.default_rng(seed)
    return draw_val(sub, known, fraction=fraction, rng=rng, **options)  # type: ignore[arg-type]


@st.composite
def grouped(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sub-labels, groups that may span sub-classes, and which images are known."""
    n = draw(st.integers(4, 60))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    sub = rng.integers(0, draw(st.integers(1, 5)), n)
    groups = rng.integers(0, draw(st.integers(1, n)), n)
    known = np.isin(sub, rng.permutation(np.unique(sub))[: draw(st.integers(1, 5))])
    return sub, groups, known


@given(grouped(), st.sampled_from([0.01, 0.15, 0.5]))
@settings(max_examples=300, deadline=None)
def test_no_group_is_on_both_sides_and_every_known_class_is_trained_on(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], fraction: float
) -> None:
    sub, groups, known = problem
    val = draw(sub, fraction, groups=groups, known=known)
    train = known & ~val
    assert not val[~known].any()
    assert not set(groups[val]) & set(groups[train])
    assert set(sub[train]) == set(sub[known])


@given(st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=9), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_every_class_of_two_groups_has_val_images_about_the_fraction_of_its_images(
    sizes: list[list[int]],
) -> None:
    """Groups within one sub-class, of the given sizes."""
    sub = np.repeat(np.arange(len(sizes)), [sum(groups) for groups in sizes])
    groups = np.repeat(np.arange(sum(map(len, sizes))), [n for groups in sizes for n in groups])
    val = draw(sub, groups=groups)
    for c, class_sizes in enumerate(sizes):
        n_images, n_val = sum(class_sizes), int(val[sub == c].sum())
        assert 1 <= n_val < n_images
        assert n_val <= max(2 * round(0.2 * n_images), min(class_sizes))


def test_images_on_their_own_are_drawn_as_without_groups() -> None:
    sub = np.random.default_rng(5).integers(0, 7, 200)
    np.testing.assert_array_equal(draw(sub, groups=np.arange(200)[::-1]), draw(sub))


def test_images_on_their_own_are_drawn_class_by_class() -> None:
    sub = np.random.default_rng(5).integers(0, 50, 1000)
    known, rng = sub % 7 > 0, np.random.default_rng(0)
    expected = np.zeros(1000, dtype=bool)
    for name in np.unique(sub[known]):
        rows = np.flatnonzero(sub == name)
        expected[rng.permutation(rows)[: max(1, round(0.2 * len(rows)))]] = True
    np.testing.assert_array_equal(draw(sub, known=known), expected)


def test_a_leak_through_bursts_is_closed() -> None:
    """10 bursts of 5 images a class: without groups most val images have a twin in train."""
    sub, burst = np.repeat(np.arange(4), 50), np.repeat(np.arange(40), 5)
    leaks = [
        float(np.isin(burst[val], burst[~val]).mean())
        for val in (draw(sub), draw(sub, groups=burst))
    ]
    assert leaks[0] > 0.9
    assert leaks[1] == 0
    assert np.bincount(sub[draw(sub, groups=burst)]).tolist() == [10] * 4


def test_the_users_validation_images_are_used_and_no_others() -> None:
    sub = np.repeat(np.arange(3), 10)
    mine = np.arange(30) % 10 < 4
    known = sub < 2
    np.testing.assert_array_equal(draw(sub, is_val=mine, known=known), mine & known)


def test_a_class_without_validation_images_of_the_users_has_some_drawn() -> None:
    sub = np.repeat(np.arange(3), 10)
    mine = (sub != 1) & (np.arange(30) % 10 == 0)
    val = draw(sub, is_val=mine, groups=np.arange(30) // 2)
    assert np.bincount(sub[val]).tolist() == [1, 2, 1]


def test_groups_over_all_classes_leave_each_class_on_both_sides() -> None:
    """20 cameras, each of which saw every class."""
    camera = np.arange(400) % 20
    sub = np.arange(400) // 100
    val = draw(sub, 0.15, groups=camera)
    assert np.bincount(sub[val]).tolist() == [15] * 4
    assert len(set(camera[val])) == 3


@pytest.mark.parametrize("sizes", [(30, 3, 3, 4), (2, 38)])
def test_a_burst_that_is_most_of_its_class_is_trained_on(sizes: tuple[int, ...]) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(20):
        val = draw(np.zeros(len(groups), dtype=int), groups=groups, seed=seed)
        assert 1 <= val.sum() <= 16
        assert not val[groups == np.argmax(sizes)].any()
