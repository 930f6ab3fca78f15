"""Claims about Mahalanobis scores, against scikit-learn and SciPy."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import normalize

from hierclf.scores import SCORES, State, fit_mahalanobis, fit_scores, score_mahalanobis
from hierclf.scores.mahalanobis import RIDGE, fit_relative, ledoit_wolf, score_relative
from tests.drawn_scores import SUPERS, drawn, far, score

WITHIN = {"within": SCORES["within"]}


def distances(features: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Squared distances [N, K] to every class mean, classes ascending."""
    unit = normalize(features.astype(np.float64))
    classes, index = np.unique(labels, return_inverse=True)
    means = np.stack([unit[labels == c].mean(axis=0) for c in classes])
    precision = LedoitWolf(assume_centered=True).fit(unit - means[index]).precision_
    rows = normalize(new.astype(np.float64))
    return np.array([[mahalanobis(row, mean, precision) ** 2 for mean in means] for row in rows])


@pytest.mark.parametrize(("n", "d"), [(300, 5), (20, 40), (1, 3), (7, 1)])
def test_the_covariance_is_sklearns_ledoit_wolf(n: int, d: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, d)) * np.arange(1, d + 1)
    theirs = LedoitWolf(assume_centered=True).fit(points).covariance_
    np.testing.assert_allclose(ledoit_wolf([points]), theirs, rtol=1e-9, atol=1e-12)


def test_mahalanobis_is_scipys_distance_to_the_nearest_class_mean() -> None:
    (train, labels), new = drawn(), far().features
    expected = distances(train.features, labels.sub_labels, new).min(axis=1)
    state = fit_mahalanobis(train.features, labels.sub_labels)
    np.testing.assert_allclose(score_mahalanobis(state, new), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("fit", [fit_mahalanobis, fit_relative])
def test_a_fit_part_by_part_is_that_of_all_images_at_once(
    fit: Callable[[np.ndarray, np.ndarray], State], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, labels = drawn(600)
    expected = fit(train.features, labels.sub_labels)
    monkeypatch.setattr("hierclf.scores.mahalanobis.FIT_CELLS", 70 * train.features.shape[1])
    for name, array in fit(train.features, labels.sub_labels).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5)


def test_a_class_that_was_not_shown_lies_farther_than_those_that_were() -> None:
    train, labels = drawn(600)
    features, shown = train.features, labels.sub_labels != 5
    state = fit_mahalanobis(features[shown], labels.sub_labels[shown])
    score = score_mahalanobis(state, features)
    assert np.median(score[~shown]) > np.quantile(score[shown], 0.95)


def test_the_scale_of_an_image_s_features_plays_no_part() -> None:
    train, labels = drawn()
    state = fit_mahalanobis(train.features, labels.sub_labels)
    once, tenfold = (score_mahalanobis(state, scale * train.features) for scale in (1, 10))
    np.testing.assert_allclose(once, tenfold, rtol=1e-4, atol=1e-4)


def test_features_without_spread_within_classes_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"must vary within a class.* 6 images of 2 classes"):
        fit_mahalanobis(np.ones((6, 3), dtype=np.float32), np.array([0, 0, 0, 1, 1, 1]))


def test_the_registry_fits_it_on_the_labels_of_each_level() -> None:
    score = SCORES["mahalanobis"]
    assert score.fit(*drawn(), "super")["means"].shape == (3, 12)
    assert score.fit(*drawn(), "sub")["means"].shape == (6, 12)


def test_the_relative_score_is_the_ratio_of_two_gaussian_densities_of_scipy() -> None:
    (train, labels), new = drawn(), far().features
    unit, rows = (normalize(x.astype(np.float64)) for x in (train.features, new))
    index = np.unique(labels.sub_labels, return_inverse=True)[1]
    means = np.stack([unit[index == k].mean(axis=0) for k in range(6)])
    within, around = np.cov((unit - means[index]).T, ddof=0), np.cov(unit.T, ddof=0)
    ridge = RIDGE * np.trace(within) / 12 * np.eye(12)
    classes = [multivariate_normal(mean, within + ridge) for mean in means]
    best = np.max([density.logpdf(rows) for density in classes], axis=0)
    everything = multivariate_normal(unit.mean(axis=0), around + ridge)
    # Of the densities' logarithms, what no image changes are the two normalising factors.
    factors = np.linalg.slogdet(around + ridge)[1] - np.linalg.slogdet(within + ridge)[1]
    expected = 2.0 * (everything.logpdf(rows) - best) + factors
    ours = score_relative(fit_relative(train.features, labels.sub_labels), new)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-2)


def test_directions_in_which_no_image_varied_play_no_part_in_the_relative_score() -> None:
    rng = np.random.default_rng(0)
    features, labels = np.zeros((40, 60)), np.arange(40) % 4
    features[:, :6] = rng.normal(size=(40, 6)) + 3.0 * np.eye(4, 6)[labels]
    state = fit_relative(features, labels)
    new = np.zeros((2, 60))
    new[:, :6] = features[0, :6]
    new[1, 30] = 0.2 * np.linalg.norm(new[1])
    plain, moved = score_relative(state, new)
    distance = score_mahalanobis(state, new)
    assert distance[1] - distance[0] > 5.0
    assert abs(moved - plain) < 0.2 * (distance[1] - distance[0])


def test_within_looks_at_sub_classes_of_the_predicted_super_class_only() -> None:
    (train, labels), (new, _) = drawn(), drawn(40, seed=3)
    # Predictions by chance: the nearest sub-class is mostly of another super-class.
    logits = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    every = distances(train.features, labels.sub_labels, new.features)
    predicted = np.unique(SUPERS)[logits.argmax(axis=1)]
    expected = [row[name == SUPERS].min() for row, name in zip(every, predicted, strict=True)]
    states = fit_scores(train, *labels, scores=WITHIN)
    owner = np.searchsorted(np.unique(SUPERS), SUPERS)
    np.testing.assert_array_equal(states["sub_within.owner"], owner)
    ours = score("within", "sub", (train, labels), new._replace(super_logits=logits))
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)
    assert (ours > every.min(axis=1) + 1).any()


def test_within_looks_at_all_sub_classes_for_the_super_level() -> None:
    (train, labels), new = drawn(), far()
    ours = score("within", "super", (train, labels), new)
    expected = distances(train.features, labels.sub_labels, new.features).min(axis=1)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_within_refuses_a_sub_class_of_two_super_classes() -> None:
    train, labels = drawn()
    supers = labels.super_labels.copy()
    supers[np.flatnonzero(labels.sub_labels == 5)[7]] = 0
    with pytest.raises(ValueError, match=r"must belong to one super-class.* with sub-class 5$"):
        fit_scores(train, supers, labels.sub_labels, scores=WITHIN)


def test_within_refuses_logits_of_other_classes_than_the_labels() -> None:
    train, labels = drawn()
    with pytest.raises(ValueError, match=r"a column for each of 3 super-classes.* but got 2"):
        fit_scores(train._replace(super_logits=train.super_logits[:, :2]), *labels, scores=WITHIN)
