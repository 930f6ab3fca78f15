"""Claims about the model of a class drawn anew, against textbook intervals and simulation."""

import numpy as np
import pytest
from scipy import stats

from hierclf.rules.new_class import NewClass, new_class


def drawn(locations: np.ndarray, n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Scores of n images per class around its location, and their classes."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(len(locations)), n)
    noise = rng.normal(size=(len(locations), n))
    noise -= noise.mean(axis=1, keepdims=True)
    return (locations[:, None] + noise).ravel(), classes


def test_without_a_prior_it_is_the_textbook_prediction_interval() -> None:
    locations = np.array([1.0, 2.0, 4.0, 7.0])
    model = new_class(*drawn(locations), near=None, prior_classes=0)
    n, sd = len(locations), locations.std(ddof=1)
    low, high = stats.t.interval(0.9, n - 1, loc=locations.mean(), scale=sd * np.sqrt(1 + 1 / n))
    quantiles = model.quantiles(20)  # mid-points: 2.5 %, 7.5 %, ...
    assert np.interp(0.05, (np.arange(20) + 0.5) / 20, quantiles) == pytest.approx(low, rel=0.2)
    exact = NewClass.quantiles(model, 1000)
    assert exact[49:51].mean() == pytest.approx(low, rel=0.01)
    assert exact[949:951].mean() == pytest.approx(high, rel=0.01)


def test_one_hidden_class_is_placed_between_it_and_new_sub_classes() -> None:
    model = new_class(*drawn(np.array([6.0])), near=2.0)
    assert 2.0 < model.mean < 6.0
    quantiles = model.quantiles(99)
    assert quantiles[4] < 2.5  # it may lie as near as a new sub-class
    assert quantiles[-5] > 6.0


def test_the_prior_fades_with_the_number_of_hidden_classes() -> None:
    rng = np.random.default_rng(1)
    many = new_class(*drawn(rng.normal(6.0, 0.5, 300), n=5), near=0.0)
    assert many.mean == pytest.approx(6.0, abs=0.15)
    assert many.scale == pytest.approx(0.5, abs=0.25)
    few = new_class(*drawn(rng.normal(6.0, 0.5, 3), n=5), near=0.0)
    assert few.mean < many.mean
    assert few.scale > 2 * many.scale


def test_alike_hidden_classes_do_not_make_a_new_one_certain() -> None:
    alike = new_class(*drawn(np.array([6.0, 6.01, 5.99])), near=1.0)
    assert alike.scale > 1.0


def test_draws_have_the_quantiles_of_the_predictive_distribution() -> None:
    model = new_class(*drawn(np.array([3.0, 4.0, 6.0])), near=1.0)
    rng = np.random.default_rng(2)
    n = 200_000
    draws = model.draw(
        rng.chisquare(model.freedom, n), rng.normal(size=n), rng.normal(size=(n, 1))
    )[:, 0]
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        wanted = np.interp(q, (np.arange(2001) + 0.5) / 2001, model.quantiles(2001))
        assert np.quantile(draws, q) == pytest.approx(wanted, abs=0.05)


def test_residuals_are_the_scores_less_their_class_mean() -> None:
    scores, classes = np.array([1.0, 3.0, 10.0]), np.array([7, 7, 9])
    np.testing.assert_allclose(new_class(scores, classes, near=0.0).residuals, [-1.0, 1.0, 0.0])


def test_too_few_classes_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="needs 2 held-out classes, or 1 and a prior, but got 1"):
        new_class(np.ones(3), np.zeros(3, int), near=None, prior_classes=0)
    with pytest.raises(ValueError, match="but got 0"):
        new_class(np.empty(0), np.empty(0, int), near=None)
