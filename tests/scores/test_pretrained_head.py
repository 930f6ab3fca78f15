"""Claims about the scores of the weights' own classifier, against SciPy and cases by hand."""

import numpy as np
import pytest
from scipy.special import rel_entr, softmax
from sklearn.metrics import roc_auc_score

from hierclf.scores import SCORES, PretrainedHead, ScoreInputs
from hierclf.scores.head_adaptation import adapt_head
from hierclf.scores.pretrained_head import (
    fit_pretrained_kl,
    fit_pretrained_mass,
    mean_probabilities,
    score_pretrained_kl,
    score_pretrained_mass,
)
from tests.drawn_scores import SUBS, drawn, far


def probabilities(head: PretrainedHead, features: np.ndarray) -> np.ndarray:
    return softmax(features.astype(np.float64) @ head.weight.T + head.bias, axis=1)


def test_pretrained_kl_is_scipys_divergence_to_the_nearest_class_mean() -> None:
    (train, labels), new = drawn(), far()
    state = fit_pretrained_kl(train, labels, "sub")
    head = PretrainedHead(state["weight"], state["bias"])
    p = probabilities(head, train.features)
    means = np.stack([p[labels.sub_labels == c].mean(axis=0) for c in SUBS])
    q = probabilities(head, new.features)
    expected = [min(rel_entr(row, mean + 1e-6).sum() for mean in means) for row in q]
    np.testing.assert_allclose(
        score_pretrained_kl(state, new, "sub"), expected, rtol=1e-3, atol=1e-4
    )


def test_pretrained_mass_is_the_probability_outside_the_classes_in_use() -> None:
    # Two features are two classes of the pretrained head; training images show the first one alone.
    head = PretrainedHead(np.eye(2, dtype=np.float32) * 4, np.zeros(2, dtype=np.float32))
    features = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    inputs = ScoreInputs(features, features, features, head)
    labels = drawn(2)[1]
    state = fit_pretrained_mass(inputs._replace(features=features[:2]), labels, "sub")
    likely, unlikely = np.exp(4) / (np.exp(4) + 1), 1 / (np.exp(4) + 1)
    np.testing.assert_allclose(state["used"], [1.0, unlikely / 0.2], rtol=1e-5)
    mass = np.array([likely + unlikely**2 / 0.2, unlikely + likely * unlikely / 0.2])
    np.testing.assert_allclose(
        score_pretrained_mass(state, inputs, "sub"), -np.log(mass[[0, 0, 1]]), rtol=1e-5
    )


def test_an_adapted_head_tells_novel_classes_better_on_images_it_was_not_made_for() -> None:
    """The head knows 20 classes, of which 10 are shown, all of them dimmed and shifted alike."""
    rng = np.random.default_rng(0)
    centres = (rng.normal(size=(20, 40)) * 0.6).astype(np.float32)
    head = PretrainedHead(centres, -(centres**2).sum(axis=1) / 2)
    gain, offset = rng.uniform(0.2, 1.2, size=40), rng.normal(size=40) * 0.5

    def images(n: int) -> tuple[np.ndarray, np.ndarray]:
        classes = np.arange(n) % 20
        clear = centres[classes] + rng.normal(size=(n, 40))
        return (clear * gain + offset).astype(np.float32), classes

    (features, classes), (new, truth) = images(8000), images(4000)
    shown, of_shown = features[classes < 10], classes[classes < 10]
    adapted = adapt_head(head, shown, of_shown, mean_probabilities(head, shown, of_shown))
    found = []
    for some in (head, adapted):
        means = np.log(mean_probabilities(some, shown, of_shown)).astype(np.float32)
        inputs = ScoreInputs(new, new, new)
        score = score_pretrained_kl(some._asdict() | {"log_means": means}, inputs, "sub")
        found.append(roc_auc_score(truth >= 10, score))
    assert 1 - found[1] < 0.85 * (1 - found[0])


def test_known_classes_that_share_a_favourite_are_matched_with_one_class_of_the_head_each() -> None:
    train, labels = drawn()
    means = np.full((6, 7), 0.01)
    means[:, 0] = 0.9
    means[3, 5] = 0.09
    assert train.pretrained_head is not None
    with_one_each = adapt_head(train.pretrained_head, train.features, labels.sub_labels, means)
    means[3, 5] = 0.0
    without = adapt_head(train.pretrained_head, train.features, labels.sub_labels, means)
    assert not np.array_equal(with_one_each.weight, without.weight)


def test_more_known_classes_than_the_head_has_are_no_obstacle() -> None:
    train, labels = drawn()
    assert train.pretrained_head is not None
    small = PretrainedHead(train.pretrained_head.weight[:2], train.pretrained_head.bias[:2])
    state = fit_pretrained_kl(train._replace(pretrained_head=small), labels, "sub")
    assert np.isfinite(score_pretrained_kl(state, far(), "sub")).all()


def test_fitting_twice_gives_the_same_numbers() -> None:
    train, labels = drawn()
    first, second = (fit_pretrained_kl(train, labels, "sub") for _ in range(2))
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_a_pretrained_head_that_knows_the_novel_class_finds_it() -> None:
    (train, labels), (known, _), novel = drawn(), drawn(seed=2), far()
    truth = np.repeat([False, True], [len(known.features), len(novel.features)])
    for name in ("pretrained_kl", "pretrained_mass"):
        state = SCORES[name].fit(train, labels, "sub")
        scores = [SCORES[name].score(state, inputs, "sub") for inputs in (known, novel)]
        assert roc_auc_score(truth, np.concatenate(scores)) > 0.95


def test_a_score_of_the_pretrained_head_without_one_is_refused() -> None:
    train, labels = drawn()
    for name in ("pretrained_kl", "pretrained_mass"):
        with pytest.raises(ValueError, match=r"^`pretrained_head` must be given to fit a score"):
            SCORES[name].fit(train._replace(pretrained_head=None), labels, "sub")
