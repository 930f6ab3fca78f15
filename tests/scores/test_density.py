"""Claims about the mixture and the one-class SVM, against scikit-learn and SciPy."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.preprocessing import normalize
from sklearn.svm import OneClassSVM

from hierclf.scores.mixture import COMPONENT_LIMIT, fit_mixture, fitted_mixture, score_mixture
from hierclf.scores.one_class import GAMMA, NU, fit_one_class, score_one_class
from hierclf.scores.pca import project
from tests.drawn_scores import drawn, far


def test_the_mixture_gives_sklearns_log_likelihood() -> None:
    (train, labels), new = drawn(), far().features
    state = fit_mixture(train.features, labels.sub_labels)
    theirs = fitted_mixture(project(state, train.features), labels.sub_labels)
    assert theirs.converged_
    expected = -theirs.score_samples(project(state, new))
    np.testing.assert_allclose(score_mixture(state, new), expected, rtol=1e-5)


def test_the_mixture_is_a_weighted_sum_of_scipys_densities() -> None:
    (train, labels), (new, _) = drawn(), drawn(20, seed=5)
    state = fit_mixture(train.features, labels.sub_labels)
    covariance = np.linalg.inv(state["whitening"] @ state["whitening"].T)
    density = sum(
        weight * multivariate_normal(mean, covariance).pdf(project(state, new.features))
        for weight, mean in zip(state["weights"], state["means"], strict=True)
    )
    np.testing.assert_allclose(score_mixture(state, new.features), -np.log(density), rtol=1e-4)


def test_the_mixture_s_components_start_at_the_classes_and_stay_near_clouds_apart() -> None:
    train, labels = drawn(600)
    state = fit_mixture(train.features, labels.sub_labels)
    points = project(state, train.features)
    means = np.stack([points[labels.sub_labels == c].mean(0) for c in np.unique(labels.sub_labels)])
    np.testing.assert_allclose(state["means"], means, atol=0.02)
    np.testing.assert_allclose(state["weights"], 1 / 6, atol=0.02)


def test_the_mixture_has_no_more_components_than_the_limit() -> None:
    features = np.random.default_rng(0).normal(size=(300, 10)).astype(np.float32)
    state = fit_mixture(features, np.arange(300) % 100)
    assert state["means"].shape == (COMPONENT_LIMIT, 10)


def test_the_mixture_is_finite_where_every_class_has_one_image() -> None:
    train, _ = drawn(8)
    state = fit_mixture(train.features, np.arange(8))
    assert np.isfinite(score_mixture(state, far().features)).all()


def test_the_one_class_svm_gives_sklearns_decision_function() -> None:
    (train, labels), (known, _), new = drawn(), drawn(seed=4), far().features
    state = fit_one_class(train.features, labels.sub_labels)

    def reduced(features: np.ndarray) -> np.ndarray:
        return normalize(project(state, features)).astype(np.float32).astype(np.float64)

    points = reduced(train.features)
    theirs = OneClassSVM(nu=NU, gamma=GAMMA / (points.shape[1] * points.var())).fit(points)
    for features in (known.features, new):
        expected = -theirs.decision_function(reduced(features))
        np.testing.assert_allclose(score_one_class(state, features), expected, rtol=1e-4, atol=1e-5)


def test_nu_bounds_the_training_images_outside_from_above_and_support_vectors_from_below() -> None:
    train, labels = drawn(2000)
    state = fit_one_class(train.features, labels.sub_labels, nu=0.2)
    # Support vectors on the boundary lie a little to either side, by the solver's tolerance.
    outside = (score_one_class(state, train.features) > 1e-3).mean()
    assert 0.0 < outside <= 0.2 <= len(state["support"]) / 2000


def test_the_one_class_svm_is_fitted_on_no_more_images_than_the_limit() -> None:
    train, labels = drawn()
    state = fit_one_class(train.features, labels.sub_labels, nu=0.5, limit=30)
    assert len(state["support"]) <= 30
    two = fit_one_class(train.features, labels.sub_labels, limit=2)
    assert np.isfinite(score_one_class(two, train.features)).all()


@pytest.mark.parametrize(("option", "value"), [("nu", 0.0), ("nu", 1.0), ("limit", 1)])
def test_the_one_class_svm_refuses_options_out_of_range(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"must hold, but got {option}={value}"):
        fit_one_class(drawn(12)[0].features, np.zeros(12, dtype=int), **{option: value})
