"""Claims about former names of scores."""

import pytest

from hierclf.scores import SCORES
from hierclf.scores.renamed import RENAMED, current_names, warn_of_former_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prior_kl", "pretrained_kl"),
        ("0.5*prior_kl + 2*super.prior_mass", "0.5*pretrained_kl + 2*super.pretrained_mass"),
        ("prior_kl.log_means", "pretrained_kl.log_means"),
        ("my_prior_kl", "my_prior_kl"),
        ("knn + msp", "knn + msp"),
    ],
)
def test_only_whole_names_are_replaced(text: str, expected: str) -> None:
    assert current_names(text) == expected


def test_a_former_name_is_warned_of_once_with_the_new_one() -> None:
    with pytest.warns(FutureWarning) as caught:
        warn_of_former_names(["msp", "prior_kl"])
    (warning,) = caught
    assert str(warning.message) == "the score 'prior_kl' is now called 'pretrained_kl'"


def test_every_former_name_has_a_score_under_its_new_name() -> None:
    assert set(RENAMED.values()) <= set(SCORES)
    assert not set(RENAMED) & set(SCORES)
