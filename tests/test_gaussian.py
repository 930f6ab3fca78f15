"""Claims about the Mahalanobis score, against scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import normalize

from hierclf.gaussian import fit_mahalanobis, score_mahalanobis, unit_rows
from hierclf.scores import SCORES


def drawn(n: int = 120, d: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 4)
    centres = rng.normal(size=(4, d)) * 3
    return (centres[labels] + rng.normal(size=(n, d))).astype(np.float32), labels


def test_the_score_is_scipys_distance_to_the_nearest_class_mean() -> None:
    features, labels = drawn()
    new, _ = drawn(30, seed=1)
    unit = normalize(features.astype(np.float64))
    means = np.stack([unit[labels == c].mean(axis=0) for c in range(4)])
    precision = LedoitWolf(assume_centered=True).fit(unit - means[labels]).precision_
    expected = [
        min(mahalanobis(row, mean, precision) ** 2 for mean in means)
        for row in normalize(new.astype(np.float64))
    ]
    state = fit_mahalanobis(features, labels)
    np.testing.assert_allclose(score_mahalanobis(state, new), expected, rtol=1e-3, atol=1e-3)


def test_a_class_that_was_not_shown_lies_farther_than_those_that_were() -> None:
    features, labels = drawn(400)
    shown = labels != 3
    score = score_mahalanobis(fit_mahalanobis(features[shown], labels[shown]), features)
    assert np.median(score[~shown]) > np.quantile(score[shown], 0.95)


def test_fewer_images_than_features_still_give_finite_scores() -> None:
    features, labels = drawn(20, 64)
    assert np.isfinite(score_mahalanobis(fit_mahalanobis(features, labels), features)).all()


def test_the_scale_of_an_image_s_features_plays_no_part() -> None:
    features, labels = drawn()
    state = fit_mahalanobis(features, labels)
    once, tenfold = score_mahalanobis(state, features), score_mahalanobis(state, 10 * features)
    np.testing.assert_allclose(once, tenfold, rtol=1e-4, atol=1e-4)


def test_features_without_any_spread_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"must vary within a class.* 6 images of 2 classes"):
        fit_mahalanobis(np.ones((6, 3), dtype=np.float32), np.array([0, 0, 0, 1, 1, 1]))


def test_other_features_than_in_training_are_refused() -> None:
    features, labels = drawn()
    with pytest.raises(ValueError, match=r"must have D=8 as in training, got D=5"):
        score_mahalanobis(fit_mahalanobis(features, labels), features[:, :5])


def test_the_registry_fits_it_on_the_labels_of_each_level() -> None:
    features, labels = drawn()
    score = SCORES["mahalanobis"]
    coarse = score.fit(features, features, labels // 2)
    assert coarse["means"].shape == (2, 8)
    assert score.fit(features, features, labels)["means"].shape == (4, 8)


def test_zero_rows_stay_zero() -> None:
    assert (unit_rows(np.zeros((2, 3))) == 0).all()
