"""Claims about what scores need: each is fitted exactly where it is said to be fittable."""

import numpy as np
import pytest

from hierclf.scores import PRETRAINED_SCORES, SCORES, ScoreInputs, fit_scores
from hierclf.scores.needs import unfittable

NAMES = tuple(name for name in SCORES if name not in PRETRAINED_SCORES)


def fails(name: str, sub_labels: np.ndarray, pictures: np.ndarray) -> bool:
    rng = np.random.default_rng(0)
    n_sub = int(sub_labels.max()) + 1
    features, supers, subs = (
        rng.normal(size=(len(sub_labels), k)).astype(np.float32)[pictures] for k in (12, 2, n_sub)
    )
    try:
        score = {name: SCORES[name]}
        fit_scores(ScoreInputs(features, supers, subs), sub_labels % 2, sub_labels, scores=score)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "sub_labels",
    [[0, 1], [0, 1, 2, 3], [0, 0, 1], [0, 1, 2, 3, 4], [0, 0, 1, 2, 3], [0, 0, 1, 1, 2, 2]],
    ids=str,
)
def test_a_score_fails_exactly_where_it_is_said_to(sub_labels: list[int]) -> None:
    labels, all_differ = np.array(sub_labels), np.arange(len(sub_labels))
    named = set(unfittable(NAMES, labels, all_differ))
    assert named == {name for name in NAMES if fails(name, labels, all_differ)}


@pytest.mark.parametrize(
    "pictures",
    [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 2], [0, 1, 1, 0, 1, 1]],
    ids=str,
)
def test_copies_of_one_picture_count_as_one(pictures: list[int]) -> None:
    labels, same = np.array([0, 0, 0, 1, 1, 1]), np.array(pictures)
    named = set(unfittable(NAMES, labels, same))
    assert named == {name for name in NAMES if fails(name, labels, same)}


def test_only_scores_that_are_asked_for_are_named() -> None:
    assert unfittable(("msp", "within"), np.arange(3), np.arange(3)) == {
        "within": "2 different training images of a sub-class"
    }
