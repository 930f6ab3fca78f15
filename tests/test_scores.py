"""Claims about novelty scores, against sklearn, torch and hand counts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.neighbors import NearestNeighbors

from hierclf import scores
from hierclf.scores import (
    SCORES,
    ScoreInputs,
    energy,
    fit_knn,
    fit_scores,
    knn_score,
    max_logit,
    msp,
    score_columns,
    score_knn,
)


def draw_inputs(n: int, *, seed: int = 0) -> ScoreInputs:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(n, width)).astype(np.float32) for width in (16, 3, 8)]
    return ScoreInputs(*arrays)


@pytest.fixture
def logits() -> np.ndarray:
    return (5 * np.random.default_rng(1).normal(size=(50, 8))).astype(np.float32)


def test_msp_is_one_minus_the_largest_probability(logits: np.ndarray) -> None:
    theirs = 1 - torch.softmax(torch.tensor(logits), dim=1).amax(1).numpy()
    assert msp(logits).dtype == np.float32
    np.testing.assert_allclose(msp(logits), theirs, atol=1e-6)
    assert msp(np.log([[0.6, 0.3, 0.1]])) == pytest.approx(0.4)


def test_msp_still_orders_images_that_float32_would_call_certain() -> None:
    first, second = msp(np.array([[25.0, 0.0], [30.0, 0.0]], dtype=np.float32))
    assert first > second > 0


def test_energy_is_the_negative_logsumexp_and_nears_max_logit_when_cold(
    logits: np.ndarray,
) -> None:
    theirs = -2.0 * torch.logsumexp(torch.tensor(logits) / 2.0, dim=1).numpy()
    np.testing.assert_allclose(energy(logits, temperature=2.0), theirs, rtol=1e-5)
    np.testing.assert_allclose(energy(logits, temperature=1e-3), max_logit(logits), atol=1e-2)
    np.testing.assert_array_equal(max_logit(logits), -logits.max(1))


def test_energy_refuses_a_temperature_of_zero(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"`temperature > 0` must hold, but got temperature=0"):
        energy(logits, temperature=0.0)


@pytest.mark.parametrize("k", [1, 5, 200])
def test_knn_agrees_with_sklearn(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = draw_inputs(200).features, draw_inputs(33, seed=1).features
    monkeypatch.setattr(scores, "CHUNK_CELLS", 200 * 7)  # 33 images in chunks of 7
    theirs = NearestNeighbors(n_neighbors=k, metric="cosine").fit(train).kneighbors(test)[0][:, -1]
    ours = score_knn(fit_knn(train, np.zeros(200, dtype=int), k=k), test)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_knn_of_zeros_is_far_and_of_a_bank_image_is_near() -> None:
    train = draw_inputs(20).features
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
        fit_knn(draw_inputs(20).features, np.zeros(20, dtype=int), k=k, bank_limit=limit)


def test_knn_refuses_features_of_another_width() -> None:
    state = fit_knn(draw_inputs(20).features, np.zeros(20, dtype=int))
    with pytest.raises(ValueError, match="must have the bank's D=16, but got D=4"):
        score_knn(state, np.zeros((2, 4), dtype=np.float32))


def test_columns_are_there_for_both_levels_and_survive_safetensors(tmp_path: Path) -> None:
    train, test = draw_inputs(40), draw_inputs(10, seed=1)
    labels = np.arange(40) % 3
    states = fit_scores(train, labels, labels)
    save_file(states, tmp_path / "scores.safetensors")
    columns = score_columns(load_file(tmp_path / "scores.safetensors"), test)
    assert sorted(columns) == sorted(f"{level}_{s}" for level in ("super", "sub") for s in SCORES)
    assert all(c.dtype == np.float32 and c.shape == (10,) for c in columns.values())
    np.testing.assert_array_equal(columns["super_msp"], msp(test.super_logits))
    np.testing.assert_array_equal(columns["sub_energy"], energy(test.sub_logits))
    np.testing.assert_array_equal(columns["super_knn"], columns["sub_knn"])


def test_another_k_is_one_more_entry() -> None:
    train, test = draw_inputs(40), draw_inputs(10, seed=1)
    labels = np.arange(40) % 3
    registry = {"knn": knn_score(), "knn1": knn_score(k=1)}
    columns = score_columns(
        fit_scores(train, labels, labels, scores=registry), test, scores=registry
    )
    assert (columns["sub_knn1"] < columns["sub_knn"]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("field", ScoreInputs._fields)
def test_inputs_that_are_not_finite_are_refused_by_name_and_row(field: str, bad: float) -> None:
    inputs = draw_inputs(20)
    labels = np.zeros(20, dtype=int)
    states = fit_scores(inputs, labels, labels)
    getattr(inputs, field)[7, 1] = bad
    message = f"`{field}` must be finite, but got NaN or infinity in 1 of 20 rows, first in row 7"
    with pytest.raises(ValueError, match=message):
        score_columns(states, inputs)
    with pytest.raises(ValueError, match=message):
        fit_scores(inputs, labels, labels)


def test_inputs_and_labels_of_another_length_are_refused() -> None:
    inputs = draw_inputs(20)
    with pytest.raises(ValueError, match="labels must have 20 rows"):
        fit_scores(inputs, np.zeros(19, dtype=int), np.zeros(20, dtype=int))
    with pytest.raises(ValueError, match=r"`sub_logits` must be of shape \[20, ...\]"):
        score_columns({}, inputs._replace(sub_logits=inputs.sub_logits[:3]))
