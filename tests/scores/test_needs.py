"""Claims about what scores need: each is fitted exactly where it is said to be fittable."""

import numpy as np
import pytest

from hierclf.scores import PRETRAINED_SCORES, SCORES, ScoreInputs, fit_scores
from hierclf.scores.needs import unfittable

NAMES = tuple(name for name in SCORES if name not in PRETRAINED_SCORES)


def fails(name: str, sub_labels: np.ndarray) -> bool:
    rng = np.random.default_rng(0)
    n_sub = int(sub_labels.max()) + 1
    features, supers, subs = (
        rng.normal(size=(len(sub_labels), k)).astype(np.float32) for k in (12, 2, n_sub)
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
    labels = np.array(sub_labels)
    assert set(unfittable(NAMES, labels)) == {name for name in NAMES if fails(name, labels)}


def test_only_scores_that_are_asked_for_are_named() -> None:
    assert unfittable(("msp", "within"), np.arange(3)) == {
        "within": "2 training images of a sub-class"
    }
