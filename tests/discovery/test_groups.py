"""Claims about groups of novel images: what they find, and where their distance comes from."""

import numpy as np
import pytest
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from hierclf.discovery.groups import ALONE, Spread, find_groups, learn_spread

WIDTH = 128
PARENTS = np.array([0, 0, 0, 1, 1, 1])


def drawn(counts: list[int], seed: int, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Unit features around random directions, one a class: float32 [M, D], int64 [M]."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    middles = rng.normal(size=(len(counts), WIDTH))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    features = middles[labels] + noise * rng.normal(size=(len(labels), WIDTH))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def spread() -> Spread:
    bank, labels = drawn([20] * 6, seed=0)
    return learn_spread(bank, labels, PARENTS)


def test_classes_that_were_never_seen_come_out_as_groups_the_largest_first(spread: Spread) -> None:
    features, labels = drawn([5, 12, 8], seed=1)
    found = find_groups(features, spread)
    assert adjusted_rand_score(labels, found) == 1.0
    assert [labels[found == group][0] for group in range(3)] == [1, 2, 0]


def test_an_image_that_is_like_too_few_others_is_alone(spread: Spread) -> None:
    features, labels = drawn([10, 2, 1], seed=2)
    found = find_groups(features, spread)
    assert (found == ALONE).tolist() == (labels > 0).tolist()
    assert find_groups(features[:2], spread).tolist() == [ALONE, ALONE]
    assert find_groups(features[:0], spread).tolist() == []


def test_the_distance_is_the_best_one_of_sklearns_complete_linkage_on_the_known_classes() -> None:
    bank, labels = drawn([20] * 6, seed=3, noise=0.1)
    found = learn_spread(bank, labels, PARENTS)
    apart = bank - bank.mean(axis=0)

    def agreement(distance: float) -> float:
        each = []
        for parent in (0, 1):
            rows = PARENTS[labels] == parent
            groups = AgglomerativeClustering(
                None, metric="cosine", linkage="complete", distance_threshold=distance
            ).fit_predict(apart[rows])
            each.append(adjusted_rand_score(labels[rows], groups))
        return float(np.mean(each))

    assert agreement(found.distance) == max(map(agreement, np.linspace(0.05, 1.95, 39)))
    assert found.agreement is not None
    assert 0.1 < found.agreement < agreement(found.distance)


def test_known_classes_that_cannot_be_told_apart_agree_with_no_groups() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(120, WIDTH)).astype(np.float32)
    labels = np.repeat(np.arange(6), 20)
    bank = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    assert abs(learn_spread(bank, labels, PARENTS).agreement or 0.0) < 0.1


def test_without_two_sub_classes_of_two_images_there_is_nothing_to_learn_from() -> None:
    bank, labels = drawn([5, 1, 1, 5, 1, 1], seed=4)
    with pytest.raises(ValueError, match="two sub-classes of two images, but there is none"):
        learn_spread(bank, labels, PARENTS)


def test_five_thousand_images_take_seconds(spread: Spread) -> None:
    features, labels = drawn([500] * 10, seed=5)
    assert adjusted_rand_score(labels, find_groups(features, spread)) > 0.9
