"""Claims about scores of logits, against torch, SciPy and hand counts."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from hierclf.scores import SCORES, ScoreInputs, energy, entropy, gen, max_logit, msp


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


def test_entropy_is_scipys_and_reaches_log_k_for_equal_logits(logits: np.ndarray) -> None:
    probability = torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=1).numpy()
    np.testing.assert_allclose(entropy(logits), scipy_entropy(probability, axis=1), rtol=1e-5)
    assert entropy(np.full((1, 8), 3.0)) == pytest.approx(np.log(8))
    assert entropy(np.array([[1e4, 0.0]])) == 0.0


def test_gen_is_the_papers_sum_over_the_most_probable_classes() -> None:
    logits = np.log([[0.5, 0.1, 0.3, 0.1]])
    two = (0.5 * 0.5) ** 0.1 + (0.3 * 0.7) ** 0.1
    assert gen(logits, max_classes=2) == pytest.approx(two)
    assert gen(logits) == pytest.approx(two + 2 * (0.1 * 0.9) ** 0.1)
    assert gen(logits, gamma=0.5, max_classes=1) == pytest.approx(0.5)


def test_gen_looks_at_a_hundred_classes_and_stays_finite_for_the_certain() -> None:
    many = np.zeros((1, 250))
    assert gen(many) == pytest.approx(100 * (1 / 250 * 249 / 250) ** 0.1)
    assert gen(np.array([[1e4, 0.0, 0.0]])) == 0.0


@pytest.mark.parametrize(("option", "value"), [("gamma", 0.0), ("gamma", 1.0), ("max_classes", 0)])
def test_gen_refuses_options_out_of_range(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"must hold, but got {option}={value}"):
        gen(np.zeros((1, 3)), **{option: value})


@pytest.mark.parametrize("name", ["msp", "mcm", "max_logit", "energy", "entropy", "gen"])
def test_scores_of_logits_computed_part_by_part_are_the_same_bit_by_bit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = np.random.default_rng(0).normal(size=(200, 30)).astype(np.float32)
    inputs = ScoreInputs(logits, logits, logits)
    expected = SCORES[name].score({}, inputs, "sub")
    monkeypatch.setattr("hierclf.scores.rows.CHUNK_CELLS", 8 * 30 * 7)
    np.testing.assert_array_equal(SCORES[name].score({}, inputs, "sub"), expected)
