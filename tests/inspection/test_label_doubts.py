"""Claims about labels in doubt: which are named, and that no image judges itself."""

import numpy as np
import pytest

from hierclf.inspection.held_out import (
    held_out_probabilities,
    ridge_scores,
    scaled,
)
from hierclf.inspection.label_doubts import confidently_other, label_doubts
from tests.inspection.drawn_classes import classes

PARENTS = [0, 0, 0, 1, 1, 1, 2, 2]


def test_the_confident_errors_are_those_of_cleanlab() -> None:
    cleanlab_filter = pytest.importorskip("cleanlab.filter")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = np.concatenate([np.arange(6), rng.integers(0, 6, 500)])
        logits = rng.normal(size=(len(labels), 6)) + 2 * np.eye(6)[labels]
        wrong = rng.random(len(labels)) < 0.1
        labels[wrong] = rng.integers(0, 6, wrong.sum())
        labels[:6] = np.arange(6)
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = cleanlab_filter.find_label_issues(
            labels, probabilities, filter_by="confident_learning", n_jobs=1
        )
        assert 5 < expected.sum() < 200
        found = confidently_other(probabilities, labels, enough=1.0)
        np.testing.assert_array_equal(found >= 0, expected)


def test_eighty_percent_are_enough_where_a_class_is_clearer_on_average() -> None:
    labels = np.repeat([0, 1], 20)
    probabilities = np.where(np.eye(2)[labels] > 0, 0.99, 0.01)
    probabilities[0], probabilities[1] = (0.15, 0.85), (0.25, 0.75)
    assert np.flatnonzero(confidently_other(probabilities, labels) >= 0).tolist() == [0]
    assert (confidently_other(probabilities, labels, enough=1.0) < 0).all()


def test_ridge_scores_are_those_of_the_normal_equations() -> None:
    features, labels = classes(PARENTS, 20)
    known, asked = scaled(features)[::2], scaled(features)[1::2]
    own = labels[::2]
    indicators = np.eye(8)[own]
    centre, level = known.mean(axis=0), indicators.mean(axis=0)
    moments = (known - centre).T @ (known - centre) + 300.0 * np.eye(32)
    weights = np.linalg.solve(moments, (known - centre).T @ (indicators - level))
    expected = (asked - centre) @ weights + level
    np.testing.assert_allclose(ridge_scores(known, own, asked, 8), expected, atol=1e-4)


def test_no_image_is_judged_by_itself_nor_by_its_scene() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    noise = rng.normal(size=(100, 300)).astype(np.float32)  # could be learnt by heart
    scene = rng.integers(0, 100, 400)
    for features, groups in (
        (rng.normal(size=(400, 300)).astype(np.float32), np.arange(400)),
        (noise[scene], scene),
    ):
        label = labels if groups is not scene else labels[scene]
        found = held_out_probabilities(features, label, groups, 4).probabilities
        assert (found.argmax(axis=1) == label).mean() < 0.35
        np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(3))
def test_planted_wrong_labels_of_both_levels_are_found_with_their_true_class(seed: int) -> None:
    features, truth = classes(PARENTS, 40, seed=seed)
    parents = np.array(PARENTS)
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(truth))[:16]
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + rng.integers(1, 8, 16)) % 8
    held_out = held_out_probabilities(features, labels, np.arange(len(labels)), 8)
    found = label_doubts(held_out, labels, parents)
    named = np.isin(wrong, found.rows)
    assert named.mean() >= 0.9
    assert np.isin(found.rows, wrong).mean() >= 0.8
    suggested = dict(zip(found.rows.tolist(), found.suggested.tolist(), strict=True))
    assert all(suggested[row] == truth[row] for row in wrong[named].tolist())
    assert (np.diff(found.given) >= 0).all()


def test_a_class_of_one_scene_is_not_judged_and_nothing_fails() -> None:
    features, labels = classes(PARENTS, 10)
    groups = np.where(labels == 0, 0, 1000 + np.arange(len(labels)))
    held_out = held_out_probabilities(features, labels, groups, 9)  # the ninth has no image
    assert not held_out.judged[labels == 0].any()
    assert held_out.judged[labels > 0].all()
    found = label_doubts(held_out, labels, np.array([*PARENTS, 2]))
    assert not np.isin(labels[found.rows], 0).any()
    alone = held_out_probabilities(features[:1], labels[:1], groups[:1], 8)
    assert not len(label_doubts(alone, labels[:1], np.array(PARENTS)).rows)
