"""Claims about principal components and what they leave over, against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from hierclf.hierarchy import Level
from hierclf.scores.base import logits_of
from hierclf.scores.pca import fit_pca, principal_axes, project
from hierclf.scores.subspace import fit_residual, scale_vim, score_residual, score_vim
from tests.drawn_scores import drawn, far


def test_components_are_sklearns_up_to_sign() -> None:
    features, new = drawn()[0].features, far().features
    theirs = PCA(n_components=5).fit(normalize(features.astype(np.float64)))
    ours = project(fit_pca(features, limit=5), new)
    expected = theirs.transform(normalize(new.astype(np.float64)))
    np.testing.assert_allclose(np.abs(ours), np.abs(expected), atol=1e-5)


def test_no_more_components_are_kept_than_the_images_span() -> None:
    features = drawn(7, 40)[0].features
    assert fit_pca(features)["pca_axes"].shape == (40, 6)
    assert principal_axes(features).rank == 6
    assert principal_axes(features).axes.shape == (40, 40)


def test_the_residual_is_the_length_of_sklearns_reconstruction_error() -> None:
    features, new = drawn()[0].features, far().features
    theirs = PCA(n_components=0.9, svd_solver="full").fit(features.astype(np.float64))
    error = new - theirs.inverse_transform(theirs.transform(new.astype(np.float64)))
    state = fit_residual(features)
    assert state["rest"].shape == (12, 12 - theirs.n_components_)
    np.testing.assert_allclose(score_residual(state, new), np.linalg.norm(error, axis=1), rtol=1e-4)


def test_something_of_the_training_images_is_left_over_however_few_they_are() -> None:
    # Three images on a line: it holds all variance, so that the subspace is but a point.
    line = np.outer([1.0, 2.0, 6.0], [1.0, 0.0, 0.0, 2.0]).astype(np.float32)
    np.testing.assert_allclose(
        score_residual(fit_residual(line), line), np.array([2, 1, 3]) * np.sqrt(5), rtol=1e-5
    )


@pytest.mark.parametrize("explained", [0.0, 1.0])
def test_a_subspace_of_nothing_or_of_all_variance_is_refused(explained: float) -> None:
    with pytest.raises(ValueError, match="`0 < explained < 1` must hold, but got explained="):
        fit_residual(drawn()[0].features, explained=explained)


@pytest.mark.parametrize("level", ["super", "sub"])
def test_vim_is_the_papers_sum_of_scaled_residual_and_energy(level: Level) -> None:
    (train, labels), new = drawn(), far()
    state = fit_residual(train.features)
    alpha = (
        logits_of(train, level).max(axis=1).mean() / score_residual(state, train.features).mean()
    )
    energy = -np.log(np.exp(logits_of(new, level).astype(np.float64)).sum(axis=1))
    expected = alpha * score_residual(state, new.features) + energy
    ours = score_vim(state | scale_vim(state, train, labels, level), new, level)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_vim_never_counts_a_larger_residual_as_more_known() -> None:
    train, labels = drawn()
    state, low = fit_residual(train.features), train._replace(sub_logits=train.sub_logits - 100)
    assert scale_vim(state, low, labels, "sub")["alpha"] == 0
