"""Claims about the intervals, against resampling rows one class at a time."""

import numpy as np
import pytest

from hierclf.hierarchy import NOVEL
from hierclf.metrics.accuracy import six_accuracies
from hierclf.metrics.bootstrap import accuracy_intervals

N, C = 400, 12


def answers(seed: int = 0) -> tuple[np.ndarray, ...]:
    """classes, true_super, true_sub, pred_super, pred_sub, with classes of unequal difficulty."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, C, N)
    true_super = np.where(classes % 3 == 0, NOVEL, classes % 3)
    true_sub = np.where(rng.random(N) < 0.3, NOVEL, classes)
    hard = np.linspace(0.0, 0.6, C)[classes]
    pred_super = np.where(rng.random(N) < hard, 9, true_super)
    pred_sub = np.where(rng.random(N) < hard, 99, true_sub)
    return classes, true_super, true_sub, pred_super, pred_sub


def test_intervals_are_those_of_resampling_the_rows_of_each_class() -> None:
    classes, *columns = answers()
    found = accuracy_intervals(classes, *columns, draws=200, coverage=0.9, seed=5)
    draws = np.random.default_rng(5).multinomial(C, np.full(C, 1 / C), size=200)
    figures = []
    for times in draws:
        rows = np.repeat(np.arange(N), times[classes])
        figures.append(six_accuracies(*(column[rows] for column in columns)))
    for key, interval in found.items():
        values = [row[key] for row in figures if row[key] is not None]
        assert interval == pytest.approx(np.quantile(values, [0.05, 0.95]).tolist()), key


def test_intervals_hold_the_figure_and_repeat_with_the_seed() -> None:
    found = accuracy_intervals(*answers(), seed=1)
    assert found == accuracy_intervals(*answers(), seed=1)
    assert found != accuracy_intervals(*answers(), seed=2)
    expected = six_accuracies(*answers()[1:])
    assert found.keys() == expected.keys()
    for key, interval in found.items():
        value = expected[key]
        assert interval is not None
        assert value is not None
        assert 0 <= interval[0] < value < interval[1] <= 1


def test_classes_that_differ_give_wider_intervals_than_their_images_drawn_singly() -> None:
    classes, *columns = answers()
    by_class = accuracy_intervals(classes, *columns)["sub_overall"]
    by_image = accuracy_intervals(np.arange(N), *columns)["sub_overall"]
    assert by_class is not None
    assert by_image is not None
    assert by_class[1] - by_class[0] > 1.5 * (by_image[1] - by_image[0])


def test_a_part_without_rows_has_no_interval() -> None:
    classes, _, true_sub, _, pred_sub = answers()
    nothing_novel = np.zeros(N, dtype=int)
    found = accuracy_intervals(classes, nothing_novel, true_sub, nothing_novel, pred_sub)
    assert found["super_unseen"] is found["super_harmonic"] is None
    assert found["super_seen"] == (1.0, 1.0)
    empty = np.empty(0, dtype=int)
    assert set(accuracy_intervals(*[empty] * 5).values()) == {None}


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="`draws >= 1` must hold, but got draws=0"):
        accuracy_intervals(*answers(), draws=0)
    with pytest.raises(ValueError, match="`0 < coverage < 1` must hold, but got coverage=95"):
        accuracy_intervals(*answers(), coverage=95)
