"""Claims about Mahalanobis scores, against scikit-learn and SciPy."""

import numpy as np
import pytest
from drawn_scores import SUPERS, drawn, far
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import normalize

from hierclf.scores import SCORES, fit_mahalanobis, score_mahalanobis
from hierclf.scores.gaussian import (
    fit_relative,
    fit_within,
    ledoit_wolf,
    score_relative,
    score_within,
)


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
    np.testing.assert_allclose(ledoit_wolf(points), theirs, rtol=1e-9, atol=1e-12)


def test_mahalanobis_is_scipys_distance_to_the_nearest_class_mean() -> None:
    (train, labels), new = drawn(), far().features
    expected = distances(train.features, labels.sub_labels, new).min(axis=1)
    state = fit_mahalanobis(train.features, labels.sub_labels)
    np.testing.assert_allclose(score_mahalanobis(state, new), expected, rtol=1e-3, atol=1e-3)


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
    for name in ("mahalanobis", "relative_mahalanobis"):
        assert SCORES[name].fit(*drawn(), "super")["means"].shape == (3, 12)
        assert SCORES[name].fit(*drawn(), "sub")["means"].shape == (6, 12)


def test_the_relative_score_takes_off_the_distance_to_the_mean_of_all_images() -> None:
    (train, labels), new = drawn(), far().features
    classes = distances(train.features, labels.super_labels, new).min(axis=1)
    unit = normalize(train.features.astype(np.float64))
    index = np.unique(labels.super_labels, return_inverse=True)[1]
    spread = unit - np.stack([unit[index == k].mean(axis=0) for k in range(3)])[index]
    precision = LedoitWolf(assume_centered=True).fit(spread).precision_
    rows = normalize(new.astype(np.float64))
    background = [mahalanobis(row, unit.mean(axis=0), precision) ** 2 for row in rows]
    ours = score_relative(fit_relative(train.features, labels.super_labels), new)
    np.testing.assert_allclose(ours, classes - background, rtol=1e-3, atol=1e-2)


def test_within_looks_at_sub_classes_of_the_predicted_super_class_only() -> None:
    (train, labels), (new, _) = drawn(), drawn(40, seed=3)
    # Predictions by chance: the nearest sub-class is mostly of another super-class.
    logits = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    every = distances(train.features, labels.sub_labels, new.features)
    predicted = np.unique(SUPERS)[logits.argmax(axis=1)]
    expected = [row[name == SUPERS].min() for row, name in zip(every, predicted, strict=True)]
    state = fit_within(train, labels, "sub")
    np.testing.assert_array_equal(state["owner"], np.searchsorted(np.unique(SUPERS), SUPERS))
    ours = score_within(state, new._replace(super_logits=logits), "sub")
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)
    assert (ours > every.min(axis=1) + 1).any()


def test_within_looks_at_all_sub_classes_for_the_super_level() -> None:
    (train, labels), new = drawn(), far()
    ours = score_within(fit_within(train, labels, "super"), new, "super")
    expected = distances(train.features, labels.sub_labels, new.features).min(axis=1)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-3)


def test_within_refuses_a_sub_class_of_two_super_classes() -> None:
    train, labels = drawn()
    supers = labels.super_labels.copy()
    supers[np.flatnonzero(labels.sub_labels == 5)[7]] = 0
    with pytest.raises(ValueError, match=r"must belong to one super-class.* with sub-class 5$"):
        fit_within(train, labels._replace(super_labels=supers), "sub")


def test_within_refuses_logits_of_other_classes_than_the_labels() -> None:
    train, labels = drawn()
    with pytest.raises(ValueError, match=r"a column for each of 3 super-classes.* but got 2"):
        fit_within(train._replace(super_logits=train.super_logits[:, :2]), labels, "sub")
