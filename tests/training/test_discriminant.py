"""Claims about heads in closed form, against scikit-learn's linear discriminant analysis."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from hierclf.config import load_config
from hierclf.training.discriminant import CHUNK, Moments, discriminant, fit_heads
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
    sums = np.stack([rows[labels == c].sum(axis=0) for c in range(K)])
    return Moments(np.bincount(labels).astype(float), sums, rows.T @ rows)


@pytest.mark.parametrize("shrinkage", [0.001, 0.5, 1.0])
def test_probabilities_are_those_of_scikit_learn(shrinkage: float) -> None:
    features, labels = drawn()
    # Its covariance weighs classes by their priors: the same where all have as many images.
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    # It shrinks each class's covariance towards its own mean variance: these have the same one.
    reference.fit(features.astype(np.float64), labels)
    weight, bias = discriminant(moments(features, labels), shrinkage=shrinkage)
    logits = features @ weight.T + bias
    np.testing.assert_array_equal(logits.argmax(1), reference.predict(features))
    np.testing.assert_allclose(
        np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)),
        reference.predict_proba(features),
        atol=1e-5,
    )


def test_classes_without_spread_are_told_by_their_means() -> None:
    labels = np.arange(K)
    features = np.eye(K, D, dtype=np.float32) * 5
    weight, bias = discriminant(moments(features, labels), shrinkage=0.3)
    np.testing.assert_allclose(weight, features)
    np.testing.assert_allclose(bias, -12.5)


def fitted(
    features: np.ndarray, labels: NDArray[np.int64], left_out: NDArray[np.bool_]
) -> list[nn.Linear]:
    heads = [nn.Linear(D, 2), nn.Linear(D, K)]
    levels = [labels // 2, labels]
    fit_heads(heads, lambda some: features[some], levels, left_out, shrinkage=0.5)
    return heads


def test_heads_of_both_levels_are_fitted_to_all_images_but_for_a_factor() -> None:
    features, labels = drawn()
    head = fitted(features, labels, np.arange(len(labels)) % 3 == 0)[1]
    weight, bias = discriminant(moments(features, labels), shrinkage=0.5)
    factor = bias / head.bias.detach().numpy()
    np.testing.assert_allclose(factor, factor[0], rtol=1e-4)
    np.testing.assert_allclose(
        head.weight.detach().numpy() * factor[0], weight, rtol=1e-3, atol=1e-4
    )


def test_the_factor_makes_probabilities_of_images_left_out_as_likely_as_it_can() -> None:
    features, labels = drawn(n=200)
    left_out = np.arange(len(labels)) % 2 == 0
    head = fitted(features, labels, left_out)[1]
    logits = torch.from_numpy(features[left_out]) @ head.weight.T + head.bias
    target = torch.from_numpy(labels[left_out])
    losses = [nn.functional.cross_entropy(logits * f, target).item() for f in (0.8, 1.0, 1.25)]
    assert losses[1] < min(losses[0], losses[2])


def test_many_images_are_looked_at_in_parts() -> None:
    features, labels = drawn(n=CHUNK // K + 10)
    asked: list[int] = []

    def features_of(some: NDArray[np.int64]) -> np.ndarray:
        asked.append(len(some))
        return features[some]

    head = nn.Linear(D, K)
    fit_heads([head], features_of, [labels], np.zeros(len(labels), dtype=bool), shrinkage=0.5)
    assert max(asked) == CHUNK < len(labels)
    weight, _ = discriminant(moments(features, labels), shrinkage=0.5)
    np.testing.assert_allclose(head.weight.detach().numpy(), weight / 10, rtol=1e-3, atol=1e-4)


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
