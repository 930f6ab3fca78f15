"""Claims about scenes found in features: where there are some, and none where there are none."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from hierclf.training.bursts import find_bursts, neighbour_accuracies
from hierclf.training.split import draw_val

N_CLASSES, N_SCENES, N_SHOTS, D = 10, 8, 5, 96


def photographs(scene_spread: float, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of classes photographed in scenes, several shots each; sub-labels; true scenes."""
    rng = np.random.default_rng(seed)
    classes = np.random.default_rng(99).normal(size=(N_CLASSES, D))
    scenes = scene_spread * rng.normal(size=(N_CLASSES * N_SCENES, D))
    scene = np.repeat(np.arange(N_CLASSES * N_SCENES), N_SHOTS)
    sub = scene // N_SCENES
    order = rng.permutation(len(scene))
    features = 0.6 * classes[sub] + scenes[scene] + 0.8 * rng.normal(size=(len(scene), D))
    return features[order].astype(np.float32), sub[order], scene[order]


def nearest(train: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return labels[((asked[:, None] - train[None]) ** 2).sum(axis=2).argmin(axis=1)]


def test_scenes_are_found_as_they_were_made() -> None:
    features, sub, scene = photographs(1.5)
    assert adjusted_rand_score(scene, find_bursts(features, sub)) > 0.97


def test_independent_images_are_left_on_their_own() -> None:
    for seed in range(3):
        features, sub, _ = photographs(0.0, seed=seed)
        assert find_bursts(features, sub).tolist() == list(range(len(sub)))


def test_groups_make_validation_as_hard_as_new_scenes() -> None:
    """A classifier that was promised to be right on nearly all, and is not in a new scene."""
    features, sub, _ = photographs(1.5)
    new, new_sub, _ = photographs(1.5, seed=1)
    found = float((nearest(features, sub, new) == new_sub).mean())
    promised = {}
    groups = find_bursts(features, sub)
    for name, together in (("random", None), ("groups", groups)):
        right = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            known = np.ones(len(sub), dtype=bool)
            val = draw_val(sub, known, fraction=0.15, rng=rng, groups=together)
            right += (nearest(features[~val], sub[~val], features[val]) == sub[val]).tolist()
        promised[name] = float(np.mean(right))
    assert promised["random"] > found + 0.3
    assert promised["groups"] == pytest.approx(found, abs=0.08)
    among_all, of_others = neighbour_accuracies(features, sub, groups, seed=0)
    assert among_all > found + 0.3
    assert of_others == pytest.approx(found, abs=0.08)


def test_no_group_holds_more_than_half_of_its_class() -> None:
    """A class of two looks: to train on one and validate on the other would be another task."""
    rng = np.random.default_rng(0)
    looks = np.repeat([0, 1], [25, 15])
    features = 5.0 * rng.normal(size=(2, D))[looks] + rng.normal(size=(40, D))
    groups = find_bursts(features.astype(np.float32), np.zeros(40, dtype=int))
    assert np.bincount(groups).max() <= 20


def test_a_class_of_few_images_is_left_as_it_is() -> None:
    features, sub, _ = photographs(1.5)
    few = np.flatnonzero(sub == 0)[:7]
    rows = np.concatenate([few, np.flatnonzero(sub == 1)])
    groups = find_bursts(features[rows], sub[rows])
    assert groups[:7].tolist() == list(range(7))
    assert len(set(groups[7:].tolist())) == N_SCENES


def test_a_large_class_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hierclf.training.bursts._MOST", 60)
    features, _, scene = photographs(3.0)
    groups = find_bursts(features, np.zeros(len(scene), dtype=int))
    assert adjusted_rand_score(scene, groups) > 0.8


def test_features_without_any_spread_are_no_scenes() -> None:
    groups = find_bursts(np.ones((40, 4), dtype=np.float32), np.arange(40) % 2)
    assert np.bincount(groups).max() <= 20
