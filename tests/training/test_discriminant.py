"""Claims about heads in closed form, against scikit-learn's linear discriminant analysis."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from hierclf.config import load_config
from hierclf.training.discriminant import CHUNK, MARGIN, Moments, discriminant, fit_heads
from tests.fold_runs import CACHE, run_of
from tests.training.test_averages import heads_config

K, D, EACH = 4, 6, 30


def drawn(n: int = EACH, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images of K classes in D features, in random order."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(K), n))
    spread = rng.normal(size=(D, D))
    features = (
        rng.normal(size=(K, D))[labels] * 2 + noise * rng.normal(size=(len(labels), D)) @ spread
    )
    return (features + 3).astype(np.float32), labels


def moments(features: np.ndarray, labels: np.ndarray) -> Moments:
    rows = features.astype(np.float64)
    sums = np.stack([rows[labels == c].sum(axis=0) for c in range(labels.max() + 1)])
    return Moments(np.bincount(labels).astype(float), sums, rows.T @ rows)


@pytest.mark.parametrize("shrinkage", [0.001, 0.5, 1.0])
def test_heads_are_those_of_scikit_learn_but_for_one_factor(shrinkage: float) -> None:
    features, labels = drawn()
    # Its covariance weighs classes by their priors: the same where all have as many images.
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    reference.fit(features.astype(np.float64), labels)
    weight, bias = discriminant(moments(features, labels), shrinkage=shrinkage)
    factor = weight[0, 0] / reference.coef_[0, 0]
    np.testing.assert_allclose(weight, factor * reference.coef_, rtol=1e-4)
    equal_priors = reference.intercept_ - np.log(1 / K)
    np.testing.assert_allclose(bias, factor * equal_priors, rtol=1e-4)


def test_the_right_logit_is_larger_by_the_margin_on_average() -> None:
    features, labels = drawn()
    own = moments(features, labels)
    weight, bias = discriminant(own, shrinkage=0.5)
    at_means = own.sums / own.counts[:, None] @ weight.T + bias
    pairs = [at_means[i, i] - at_means[i, j] for i in range(K) for j in range(K) if i != j]
    assert np.mean(pairs) == pytest.approx(MARGIN)


def test_classes_without_spread_are_told_by_their_means() -> None:
    features = np.eye(K, D, dtype=np.float32) * 5
    weight, bias = discriminant(moments(features, np.arange(K)), shrinkage=0.3)
    np.testing.assert_allclose(weight, features * MARGIN / 25)
    np.testing.assert_allclose(bias, -MARGIN / 2)


def test_one_class_is_no_reason_to_fail() -> None:
    features, labels = np.ones((3, D), np.float32), np.zeros(3, np.int64)
    head = nn.Linear(D, 1)
    fit_heads([head], lambda some: features[some], [labels], shrinkage=0.5)
    assert torch.isfinite(head.weight).all()


def test_many_images_are_looked_at_in_parts_for_both_levels() -> None:
    features, labels = drawn(n=CHUNK // K + 10)
    asked: list[int] = []

    def features_of(some: NDArray[np.int64]) -> np.ndarray:
        asked.append(len(some))
        return features[some]

    heads = [nn.Linear(D, 2), nn.Linear(D, K)]
    fit_heads(heads, features_of, [labels // 2, labels], shrinkage=0.5)
    assert asked == [CHUNK, len(labels) - CHUNK]
    weight, bias = discriminant(moments(features, labels), shrinkage=0.5)
    np.testing.assert_allclose(heads[1].weight.detach().numpy(), weight, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(heads[1].bias.detach().numpy(), bias, rtol=1e-3)
    weight, _ = discriminant(moments(features, labels // 2), shrinkage=0.5)
    np.testing.assert_allclose(heads[0].weight.detach().numpy(), weight, rtol=1e-3, atol=1e-4)


def test_a_run_has_them_from_its_first_epoch_on_and_training_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(16, 10))
    bank = centres[CACHE.sub_labels] + 0.3 * rng.normal(size=(2, len(CACHE.names), 10))
    run = run_of(
        heads_config(heads="lda", average="ema", seeds=2), features=bank.astype(np.float32)
    )
    run.train_epoch(1)
    first = run.outputs(run.fold.val)
    known = np.searchsorted(run.fold.known_sub, CACHE.sub_labels[run.fold.val])
    assert (first.sub_logits.argmax(axis=1) == known).mean() > 0.95
    run.train_epoch(2)
    np.testing.assert_array_equal(run.outputs(run.fold.val).sub_logits, first.sub_logits)


def test_a_network_that_is_trained_is_refused() -> None:
    wanted = r"train\.heads=lda needs model\.freeze=backbone .* but got model\.freeze=none$"
    with pytest.raises(ValueError, match=wanted):
        load_config("demo", ["train.heads=lda"])
    wanted = (
        r"train\.heads=lda needs model\.novel_output=false .* but got model\.novel_output=true$"
    )
    with pytest.raises(ValueError, match=wanted):
        load_config("cpu", ["train.heads=lda", "model.novel_output=true"])
