"""Claims about calibration, against torch, sklearn, a grid and known true curves."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from hierclf.metrics.calibration_error import expected_calibration_error
from hierclf.rules.calibrators import (
    NovelCurve,
    fit_novel_probability,
    fit_temperature,
    novel_probability,
)


def drawn(n: int, *, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(logits), and those logits times `sharpness`."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, 5))
    labels = np.array([rng.choice(5, p=p) for p in softmax(logits, axis=1)])
    return sharpness * logits, labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 4.0])
def test_temperature_undoes_a_known_overconfidence(sharpness: float) -> None:
    logits, labels = drawn(4000, sharpness=sharpness)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(sharpness, rel=0.05)


def test_temperature_is_the_best_of_a_grid_by_the_loss_of_torch() -> None:
    logits, labels = drawn(300, sharpness=3.0)

    def loss(temperature: float) -> float:
        scaled = torch.from_numpy(logits) / temperature
        return float(torch.nn.functional.cross_entropy(scaled, torch.from_numpy(labels)))

    temperature = fit_temperature(logits, labels)
    assert loss(temperature) <= min(loss(t) for t in np.geomspace(0.05, 20, 500)) + 1e-9


def test_temperature_lowers_the_calibration_error() -> None:
    logits, labels = drawn(4000, sharpness=4.0)
    temperature = fit_temperature(logits[::2], labels[::2])
    errors: list[float] = []
    for t in (1.0, temperature):
        prob = softmax(logits[1::2] / t, axis=1)
        right = prob.argmax(axis=1) == labels[1::2]
        error = expected_calibration_error(prob.max(axis=1), right)
        assert error is not None
        errors.append(error)
    assert errors[1] < 0.04 < 0.1 < errors[0]


def test_temperature_stays_in_its_bounds_and_is_one_without_any_preference() -> None:
    right, wrong = np.eye(3), np.eye(3)[[1, 2, 0]]
    assert fit_temperature(right, np.arange(3)) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(wrong, np.arange(3)) == pytest.approx(20.0, rel=1e-3)
    assert fit_temperature(np.full((4, 3), 3.7), [0, 1, 2, 0]) == 1.0
    assert np.isfinite(fit_temperature([[1e4, -1e4], [1e4, -1e4]], [0, 1]))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "at least one row"),
        ([[0.0, np.nan]], [0], "`logits` must be finite, but got nan"),
        ([[0.0, 1.0]], [2], "0 <= labels < 2` must hold, but got 2"),
        ([[0.0, 1.0]], [-1], "got -1"),
        ([[0.0, 1.0]], [0.0], "must be integers, but got float64"),
        ([[0.0, 1.0]], [0, 1], r"\[N, K\] and \[N\]"),
        ([0.0, 1.0], [0, 1], r"\[N, K\] and \[N\]"),
    ],
)
def test_temperature_refuses_what_it_cannot_fit(logits: list, labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, labels)


def by_sklearn(score: np.ndarray, novel: np.ndarray, novel_rate: float) -> NovelCurve:
    """Platt's targets as two weighted copies of every row, one novel and one known."""
    n_novel, n_known = novel.sum(), (~novel).sum()
    target = np.where(novel, (n_novel + 1) / (n_novel + 2), 1 / (n_known + 2))
    weight = np.where(novel, novel_rate / n_novel, (1 - novel_rate) / n_known) * len(score)
    model = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000)
    model.fit(
        np.concatenate([score, score])[:, None],
        np.repeat([True, False], len(score)),
        sample_weight=np.concatenate([weight * target, weight * (1 - target)]),
    )
    return NovelCurve(float(model.coef_[0, 0]), float(model.intercept_[0]))


@pytest.mark.parametrize("novel_rate", [0.1, 0.5, 0.8])
def test_novel_curve_agrees_with_sklearn(novel_rate: float) -> None:
    rng = np.random.default_rng(1)
    novel = rng.random(400) < 0.2
    score = rng.standard_t(3, size=400) + 1.5 * novel
    curve = fit_novel_probability(score, novel, novel_rate=novel_rate)
    np.testing.assert_allclose(curve, by_sklearn(score, novel, novel_rate), rtol=1e-4)


def test_novel_curve_finds_the_true_curve_at_the_rate_it_is_asked_for() -> None:
    # Two normals one width apart, novel above: the log odds at even shares are score - 0.5.
    rng = np.random.default_rng(2)
    novel = np.arange(60_000) < 15_000
    score = rng.normal(size=60_000) + novel
    for rate in (0.25, 0.5, 0.9):
        curve = fit_novel_probability(score, novel, novel_rate=rate)
        true_offset = -0.5 + np.log(rate / (1 - rate))
        np.testing.assert_allclose(curve, (1.0, true_offset), atol=0.05)
    # At the share that the rows have, the probabilities are calibrated on them.
    prob = novel_probability(fit_novel_probability(score, novel, novel_rate=0.25), score)
    error = expected_calibration_error(prob, novel)
    assert error is not None
    assert error < 0.01


def test_the_unit_and_origin_of_a_score_do_not_change_the_probabilities() -> None:
    rng = np.random.default_rng(3)
    novel = rng.random(300) < 0.5
    score = rng.normal(size=300) + novel
    expected = novel_probability(fit_novel_probability(score, novel), score)
    for unit, origin in ((1e-6, 0.0), (1e8, -3e9), (1.0, 1e5)):
        moved = unit * score + origin
        prob = novel_probability(fit_novel_probability(moved, novel), moved)
        np.testing.assert_allclose(prob, expected, atol=1e-4)


def test_a_score_that_ranks_backwards_or_says_nothing_gives_about_the_rate() -> None:
    novel = np.arange(1000) < 500
    for score in (-1.0 * novel, np.full(1000, 0.1), np.full(1000, 0.0)):
        curve = fit_novel_probability(score, novel, novel_rate=0.3)
        assert curve.slope == 0.0
        np.testing.assert_allclose(novel_probability(curve, score), 0.3, atol=0.005)


def test_a_score_that_separates_gives_a_finite_curve_short_of_certainty() -> None:
    novel = np.arange(40) < 20
    curve = fit_novel_probability(10.0 * novel, novel)
    # Two scores and two parameters: the curve meets Platt's targets.
    np.testing.assert_allclose(novel_probability(curve, [0.0, 10.0]), [1 / 22, 21 / 22], rtol=1e-4)
    one_each = fit_novel_probability([0.0, 1.0], [False, True])
    np.testing.assert_allclose(novel_probability(one_each, [0.0, 1.0]), [1 / 3, 2 / 3], rtol=1e-4)


def test_novel_probability_is_the_sigmoid_in_float32_and_stays_finite() -> None:
    prob = novel_probability(NovelCurve(2.0, -1.0), np.array([-1e30, 0.0, 0.7, 1e30], np.float32))
    np.testing.assert_allclose(prob, [0.0, expit(-1.0), expit(0.4), 1.0], rtol=1e-6)
    assert prob.dtype == np.float32
    assert novel_probability(NovelCurve(2.0, -1.0), []).shape == (0,)
    with pytest.raises(ValueError, match="`score` must be finite, but got nan"):
        novel_probability(NovelCurve(1.0, 0.0), [np.nan])


@pytest.mark.parametrize(
    ("score", "novel", "novel_rate", "message"),
    [
        ([0.0, 1.0], [True, True], 0.5, "got 0 known and 2 novel"),
        ([0.0, 1.0], [False, False], 0.5, "got 2 known and 0 novel"),
        ([], [], 0.5, "got 0 known and 0 novel"),
        ([0.0, np.inf], [False, True], 0.5, "`score` must be finite, but got inf"),
        ([0.0, 1.0], [False, True], 0.0, "0 < novel_rate < 1` must hold, but got novel_rate=0.0"),
        ([0.0, 1.0], [False, True], 1.0, "got novel_rate=1.0"),
        ([0.0, 1.0], [False, True], np.nan, "got novel_rate=nan"),
        ([0.0, 1.0], [True], 0.5, "one shape"),
    ],
)
def test_novel_curve_refuses_what_it_cannot_fit(
    score: list, novel: list, novel_rate: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_novel_probability(score, novel, novel_rate=novel_rate)


def test_reading_a_curve_imports_no_fitting_code() -> None:
    code = (
        "import sys; from hierclf.rules.calibrators import NovelCurve, novel_probability; "
        "novel_probability(NovelCurve(1.0, 0.0), [0.5]); "
        "print([m for m in sys.modules if m.startswith(('scipy.optimize', 'sklearn'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
