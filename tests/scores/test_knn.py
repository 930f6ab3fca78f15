"""Claims about scores of nearest training images, against scikit-learn and the written formula."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from hierclf.hierarchy import Level
from hierclf.scores import fit_knn, rows, score_knn
from hierclf.scores.base import logits_of
from hierclf.scores.knn import nearest_in_bank
from hierclf.scores.nnguide import fit_guide, score_guide
from tests.drawn_scores import drawn, far


def draw_features(n: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, 200])
def test_knn_agrees_with_sklearn(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = draw_features(200), draw_features(33, seed=1)
    monkeypatch.setattr(rows, "CHUNK_CELLS", 200 * 7)  # 33 images in chunks of 7
    theirs = NearestNeighbors(n_neighbors=k, metric="cosine").fit(train).kneighbors(test)[0][:, -1]
    ours = score_knn(fit_knn(train, np.zeros(200, dtype=int), k=k), test)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("count", [1, 5, 300])
def test_the_nearest_in_the_bank_are_those_of_sklearn(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = draw_features(200), draw_features(33, seed=1)
    monkeypatch.setattr(rows, "CHUNK_CELLS", 200 * 7)  # 33 images in chunks of 7
    theirs = NearestNeighbors(n_neighbors=min(count, 200), metric="cosine").fit(train)
    distances, nearest = theirs.kneighbors(test)
    found, own = nearest_in_bank(fit_knn(train, np.zeros(200, dtype=int)), test, count)
    np.testing.assert_allclose(own, distances, atol=1e-6)
    assert (found == nearest).mean() > 0.99  # rounding may exchange two that are equally far


def test_knn_of_zeros_is_far_and_of_a_bank_image_is_near() -> None:
    train = draw_features(20)
    state = fit_knn(train, np.zeros(20, dtype=int), k=1)
    distance = score_knn(state, np.stack([np.zeros(16, dtype=np.float32), 3 * train[4]]))
    np.testing.assert_allclose(distance, [1.0, 0.0], atol=1e-6)
    assert distance.min() >= 0


def test_a_thinned_bank_keeps_every_class_in_its_share_and_is_repeatable() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 3])
    features = np.eye(3, dtype=np.float32)[labels]
    bank = fit_knn(features, labels, bank_limit=90)["bank"]
    assert bank.shape == (90, 3)
    counts = bank.sum(axis=0)
    assert counts[2] >= 1
    assert counts[0] / counts[1] == pytest.approx(2, abs=0.1)
    ramp = np.random.default_rng(0).normal(size=(903, 4)).astype(np.float32)
    first, second = (fit_knn(ramp, labels, bank_limit=90)["bank"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("k", "limit"), [(0, 100), (21, 100), (5, 4)])
def test_knn_refuses_a_bank_smaller_than_k(k: int, limit: int) -> None:
    with pytest.raises(ValueError, match="must hold, but got"):
        fit_knn(draw_features(20), np.zeros(20, dtype=int), k=k, bank_limit=limit)


@pytest.mark.parametrize("level", ["super", "sub"])
def test_nnguide_is_the_papers_product_of_confidence_and_guidance(level: Level) -> None:
    (train, labels), new = drawn(), far()
    confidence = np.log(np.exp(logits_of(train, level).astype(np.float64)).sum(axis=1))
    products = cosine_similarity(new.features, train.features) * confidence
    guidance = np.sort(products, axis=1)[:, -10:].mean(axis=1)
    expected = -np.log(np.exp(logits_of(new, level).astype(np.float64)).sum(axis=1)) * guidance
    ours = score_guide(fit_guide(train, labels, level), new, level)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_nnguide_takes_all_of_a_bank_that_is_smaller_than_k() -> None:
    train, labels = drawn(12)
    state = fit_guide(train, labels, "sub", bank_limit=6)
    assert state["bank"].shape == (6, 12)
    assert state["k"] == 6


@pytest.mark.parametrize("option", ["k", "bank_limit"])
def test_nnguide_refuses_to_look_at_no_image(option: str) -> None:
    options: dict[str, Any] = {option: 0}
    with pytest.raises(ValueError, match=f"`{option} >= 1` must hold, but got {option}=0"):
        fit_guide(*drawn(12), "sub", **options)
