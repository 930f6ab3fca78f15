"""Claims about the normalizing flow, against known densities and autograd's Jacobian."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, spearmanr

from hierclf.scores.flow import fit_flow, score_flow, through_couplings
from hierclf.scores.flow_training import train_couplings
from hierclf.scores.pca import PCA_LIMIT, project
from tests.drawn_scores import drawn, far, stored

CENTRES = np.random.default_rng(99).normal(size=(4, 6)) * 2
SPREADS = np.random.default_rng(98).uniform(0.4, 1.2, size=(4, 6))


def points_of(n: int, *, seed: int) -> np.ndarray:
    """Drawn from a mixture of four Gaussians in six dimensions."""
    rng = np.random.default_rng(seed)
    index = rng.integers(4, size=n)
    return CENTRES[index] + SPREADS[index] * rng.normal(size=(n, 6))


def log_density(points: np.ndarray) -> np.ndarray:
    parts = zip(CENTRES, SPREADS, strict=True)
    return np.log(sum(multivariate_normal(c, np.diag(s**2)).pdf(points) for c, s in parts) / 4)


def test_the_flow_ranks_images_left_out_as_the_true_density_does() -> None:
    train, new = points_of(3000, seed=0), points_of(2000, seed=1)
    mean, scale = train.mean(axis=0), 1.0 / train.std(axis=0)
    weights = train_couplings(((train - mean) * scale).astype(np.float32), seed=0)
    ends, log_determinants = through_couplings(weights, (new - mean) * scale, np)
    learned = multivariate_normal(np.zeros(6)).logpdf(ends) + log_determinants
    assert spearmanr(learned, log_density(new))[0] > 0.9
    gaussian = multivariate_normal(mean, np.cov(train.T)).logpdf(new)
    assert spearmanr(gaussian, log_density(new))[0] < 0.7


def test_log_determinants_are_those_of_autograd_s_jacobian() -> None:
    (train, labels), new = drawn(600), far(5).features
    state = fit_flow(train.features, labels.sub_labels)
    points = project(state, new) * state["scale"]
    ends, log_determinants = through_couplings(state, points, np)
    tensors = {name: torch.from_numpy(array).double() for name, array in state.items()}
    assert np.abs(log_determinants).min() > 0.1
    for point, end, log_determinant in zip(points, ends, log_determinants, strict=True):

        def whole(one: torch.Tensor) -> torch.Tensor:
            mapped: torch.Tensor = through_couplings(tensors, one[None], torch)[0][0]
            return mapped

        tensor = torch.from_numpy(point)
        jacobian = torch.autograd.functional.jacobian(whole, tensor)
        expected = torch.linalg.slogdet(jacobian).logabsdet.item()
        np.testing.assert_allclose(log_determinant, expected, rtol=1e-9)
        np.testing.assert_allclose(end, whole(tensor).numpy(), rtol=1e-9)


def test_the_likelihood_is_a_density_of_the_reduced_features() -> None:
    rng = np.random.default_rng(0)
    angles = np.concatenate([rng.normal(-1, 0.1, 400), rng.normal(0.5, 0.3, 400)])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    state = fit_flow(features, np.zeros(800, dtype=int))
    assert state["scale"].shape == (2,)
    steps = np.linspace(-2.5, 2.5, 401)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    ends, log_determinants = through_couplings(state, grid * state["scale"], np)
    density = multivariate_normal(np.zeros(2)).pdf(ends) * np.exp(log_determinants)
    mass = density.sum() * state["scale"].prod() * (steps[1] - steps[0]) ** 2
    assert mass == pytest.approx(1.0, abs=0.02)
    place = project(state, features[:9]) * state["scale"]
    ends, log_determinants = through_couplings(state, place, np)
    expected = multivariate_normal(np.zeros(2)).logpdf(ends) + log_determinants
    expected += np.log(state["scale"].prod())
    np.testing.assert_allclose(score_flow(state, features[:9]), -expected, rtol=1e-5)


def test_the_same_seed_gives_the_same_bytes_whatever_torch_s_own_seed_and_threads() -> None:
    train, labels = drawn()
    threads = torch.get_num_threads()
    first = fit_flow(train.features, labels.sub_labels)
    torch.manual_seed(7)
    torch.set_num_threads(threads + 1)
    try:
        again = fit_flow(train.features, labels.sub_labels)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    other = fit_flow(train.features, labels.sub_labels, seed=1)
    assert {k: a.tobytes() for k, a in first.items()} == {k: a.tobytes() for k, a in again.items()}
    assert (first["first"] != other["first"]).any()


def test_a_stored_flow_gives_the_same_scores(tmp_path: Path) -> None:
    (train, labels), new = drawn(), far().features
    state = fit_flow(train.features, labels.sub_labels)
    np.testing.assert_array_equal(score_flow(stored(state, tmp_path), new), score_flow(state, new))


def test_only_a_sample_of_many_images_trains_the_flow() -> None:
    train, labels = drawn(600)
    assert fit_flow(train.features, labels.sub_labels)["last"].any()
    # Of 9 images none can be left out to judge by, so that nothing is trained.
    assert not fit_flow(train.features, labels.sub_labels, limit=9)["last"].any()


def test_wide_features_are_reduced() -> None:
    features = np.random.default_rng(0).normal(size=(200, 80)).astype(np.float32)
    state = fit_flow(features, np.arange(200) % 4)
    assert state["pca_axes"].shape == (80, PCA_LIMIT)


def test_the_score_grows_without_bound_away_from_the_training_images() -> None:
    train, labels = drawn()
    state = fit_flow(train.features, labels.sub_labels)
    point = project(state, far(1).features)[0] * state["scale"]
    ends, log_determinants = through_couplings(state, np.outer([1e1, 1e2, 1e3], point), np)
    scores = 0.5 * (ends**2).sum(axis=1) - log_determinants
    assert scores[2] > 50 * scores[1] > 50 * 50 * scores[0] > 0


def test_a_sample_of_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="`limit >= 2` must hold, but got limit=1"):
        fit_flow(drawn(12)[0].features, np.zeros(12, dtype=int), limit=1)
