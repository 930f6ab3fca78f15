"""Claims about the score that is trained on known classes left out, and its inner folds."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from hierclf.hierarchy import Level
from hierclf.scores import SCORES, Labels, ScoreInputs
from hierclf.scores.inner_folds import PARTS, inner_folds
from hierclf.scores.learned import INPUTS, distance_inputs, fit_learned, score_learned
from hierclf.scores.monotone import fit_monotone
from tests.drawn_scores import drawn, far, stored

LEVELS: tuple[Level, ...] = ("super", "sub")
N_SUPER, N_SUB, WIDTH = 5, 4, 24  # known super-classes, and known sub-classes of each


class World:
    """Five known super-classes of four known sub-classes and a new one, and a new super-class.

    Images of a class vary more along some axes than along others, the same for all classes.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        supers = self.rng.normal(size=(N_SUPER + 1, 1, WIDTH)) * 1.5
        self.centres = supers + self.rng.normal(size=(N_SUPER + 1, N_SUB + 1, WIDTH)) * 0.8
        self.spread = np.exp(0.7 * self.rng.normal(size=WIDTH))
        of_super, of_sub = np.divmod(np.arange(N_SUPER * N_SUB), N_SUB)
        index = np.repeat(np.arange(len(of_super)), 30)
        self.labels = Labels(of_super[index], index)
        self.train = self.images(of_super, of_sub, 30)
        self.known = self.images(of_super, of_sub, 20)
        new_sub, new_super = np.arange(N_SUPER), np.full(N_SUB + 1, N_SUPER)
        self.novel: dict[Level, ScoreInputs] = {
            "sub": self.images(new_sub, np.full(N_SUPER, N_SUB), 60),
            "super": self.images(new_super, np.arange(N_SUB + 1), 60),
        }

    def images(self, of_super: np.ndarray, of_sub: np.ndarray, n: int) -> ScoreInputs:
        centres = np.repeat(self.centres[of_super, of_sub], n, axis=0)
        features = centres + self.spread * self.rng.normal(size=centres.shape)
        supers, subs = (
            np.zeros((len(features), k), np.float32) for k in (N_SUPER, N_SUPER * N_SUB)
        )
        return ScoreInputs(features.astype(np.float32), supers, subs)

    def auroc(self, name: str, level: Level) -> float:
        """How well a score tells new images of known classes from those of new ones."""
        state = SCORES[name].fit(self.train, self.labels, level)
        scores = [SCORES[name].score(state, x, level) for x in (self.known, self.novel[level])]
        novel = np.repeat([0, 1], [len(scores[0]), len(scores[1])])
        return float(roc_auc_score(novel, np.concatenate(scores)))


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_new_classes_at_least_as_well_as_the_distances_it_weighs(seed: int) -> None:
    world = World(seed)
    for level in LEVELS:
        learned = world.auroc("learned", level)
        assert learned >= world.auroc("knn", level)
        assert learned >= world.auroc("mahalanobis", level) - 0.01
        assert learned >= world.auroc("relative_mahalanobis", level) - 0.01
    assert world.auroc("learned", "sub") > world.auroc("knn", "sub") + 0.1


@pytest.mark.parametrize("level", LEVELS)
def test_no_class_both_trains_and_judges_in_an_inner_fold_and_each_is_novel_once(
    level: Level,
) -> None:
    labels = World(0).labels
    of_level = labels.sub_labels if level == "sub" else labels.super_labels
    seen = np.zeros(len(of_level), dtype=int)
    found = list(inner_folds(labels, level, seed=0))
    assert len(found) == PARTS
    for train, known, novel in found:
        rows = np.concatenate([train, known, novel])
        np.testing.assert_array_equal(np.sort(rows), np.arange(len(of_level)))
        assert not np.isin(of_level[novel], of_level[np.append(train, known)]).any()
        assert np.isin(labels.sub_labels[known], labels.sub_labels[train]).all()
        # 6 of 30 images of each sub-class that stays
        assert len(known) == 6 * len(np.unique(labels.sub_labels[known]))
        siblings = np.isin(labels.super_labels[novel], labels.super_labels[train])
        assert siblings.all() if level == "sub" else not siblings.any()
        seen[novel] += 1
    assert (seen == 1).all()


def test_a_single_class_has_no_inner_folds_and_sub_classes_of_two_images_judge_nothing() -> None:
    one = Labels(np.zeros(6, dtype=int), np.repeat([0, 1, 2], 2))
    assert list(inner_folds(one, "super", seed=0)) == []
    assert [len(r.known) for r in inner_folds(one, "sub", seed=0)] == [0, 0, 0]


def test_the_inputs_are_scipys_distances() -> None:
    (train, labels), new = drawn(), far()
    for level, of_level in zip(LEVELS, labels, strict=True):
        state = fit_learned(train, labels, level)
        unit, bank = normalize(new.features.astype(float)), normalize(train.features.astype(float))
        neighbours = np.sort(cdist(unit, bank), axis=1)[:, [0, 4, 19]]
        subs = np.unique(labels.sub_labels)
        owner = np.array([of_level[labels.sub_labels == sub][0] for sub in subs])
        means = np.stack([bank[labels.sub_labels == sub].mean(axis=0) for sub in subs])
        whitening = state["whitening"].astype(float)
        to_means = cdist(unit, means, "mahalanobis", VI=whitening @ whitening.T)
        by_class = [to_means[:, owner == c].min(axis=1) for c in np.unique(owner)]
        nearest, second = np.sort(by_class, axis=0)[:2]
        relative = SCORES["relative_mahalanobis"]
        rest = relative.score(relative.fit(train, labels, "sub"), new, "sub")
        expected = np.column_stack([neighbours, nearest, rest, nearest / second])
        np.testing.assert_allclose(distance_inputs(state, new.features), expected, rtol=2e-4)
        odds = (expected - state["centre"]) / state["spread"] @ state["weights"] + state["bias"]
        np.testing.assert_allclose(score_learned(state, new, level), odds, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("level", LEVELS)
def test_no_input_can_make_an_image_less_novel_and_logits_are_none(level: Level) -> None:
    train, labels = drawn()
    state = fit_learned(train, labels, level)
    assert state["weights"].shape == (len(INPUTS),)
    assert (state["weights"] >= 0).all()
    assert state["weights"].any()
    other = train._replace(super_logits=-train.super_logits, sub_logits=0 * train.sub_logits)
    again = fit_learned(other, labels, level)
    assert {k: a.tobytes() for k, a in state.items()} == {k: a.tobytes() for k, a in again.items()}


def test_weights_are_sklearns_and_zero_for_an_input_that_speaks_against_novelty() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(3000) < 0.2
    inputs = rng.normal(size=(3000, 4)) + np.outer(positive, [1.0, 0.5, 0.8, -0.7])
    weights, bias = fit_monotone(inputs, positive, penalty=1e-9)
    theirs = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-8)
    theirs.fit(inputs[:, :3], positive)
    np.testing.assert_allclose(weights, [*theirs.coef_[0], 0.0], atol=1e-3)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_without_inner_folds_all_inputs_weigh_the_same() -> None:
    np.testing.assert_allclose(fit_monotone(np.empty((0, 4)), np.empty(0, dtype=bool))[0], 0.25)
    train, labels = drawn(12)  # two images of each sub-class: none to spare
    state = fit_learned(train, labels, "sub")
    np.testing.assert_allclose(state["weights"], 1 / len(INPUTS))
    assert np.isfinite(score_learned(state, far(), "sub")).all()


@pytest.mark.parametrize("level", LEVELS)
def test_the_state_survives_safetensors_and_the_same_seed_gives_the_same_bytes(
    level: Level, tmp_path: Path
) -> None:
    (train, labels), new = drawn(), far()
    state, again = (fit_learned(train, labels, level) for _ in range(2))
    assert {k: a.tobytes() for k, a in state.items()} == {k: a.tobytes() for k, a in again.items()}
    expected = score_learned(state, new, level)
    np.testing.assert_array_equal(score_learned(stored(state, tmp_path), new, level), expected)


def test_inner_folds_of_many_images_use_a_sample_and_the_bank_keeps_all() -> None:
    train, labels = drawn()
    few, all_images = (fit_learned(train, labels, "sub", limit=n) for n in (60, 240))
    np.testing.assert_array_equal(few["bank"], all_images["bank"])
    assert (few["weights"] != all_images["weights"]).any()
