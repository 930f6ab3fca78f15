"""The values that a search varies, and the trials it begins with."""

import optuna
import pytest

from hierclf.config import Config, parse_config
from search.tuning.space import PAPER_VALUES, distributions, first_trials


def test_the_ranges_are_the_configurations_with_rates_in_log() -> None:
    config = parse_config({"search": {"lr": {"low": 1e-4, "high": 1e-2}}})
    space = distributions(config)
    assert list(space) == ["lr", "weight_decay", "strength"]
    assert space["lr"] == optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)
    assert space["weight_decay"] == optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True)
    assert space["strength"] == optuna.distributions.FloatDistribution(0.0, 2.0, log=False)


def test_a_search_begins_with_the_papers_values_then_the_configurations_own() -> None:
    config = parse_config({"train": {"lr": 2e-3, "weight_decay": 1e-2, "strength": 0.5}})
    assert first_trials(config) == [
        {"lr": 1e-4, "weight_decay": 1e-4, "strength": 1.0},
        {"lr": 2e-3, "weight_decay": 1e-2, "strength": 0.5},
    ]


def test_the_papers_own_configuration_is_tried_once() -> None:
    assert first_trials(Config()) == [PAPER_VALUES]


@pytest.mark.parametrize(
    ("name", "low", "high", "left"),
    [
        ("lr", 1e-3, 1e-2, 1),  # the paper's 1e-4 is below
        ("strength", 0.0, 0.9, 1),  # the paper's 1.0 is above
        ("lr", 1e-5, 1e-3, 1),  # the configuration's own 2e-3 is above
        ("weight_decay", 1.0, 2.0, 0),
        ("lr", 1e-4, 2e-3, 2),  # the ends belong to the range
    ],
)
def test_values_outside_the_ranges_are_left_out(
    name: str, low: float, high: float, left: int
) -> None:
    own = {"lr": 2e-3, "weight_decay": 1e-2, "strength": 0.5}
    config = parse_config({"train": own, "search": {name: {"low": low, "high": high}}})
    trials = first_trials(config)
    assert len(trials) == left
    for trial in trials:
        assert all(space._contains(trial[key]) for key, space in distributions(config).items())


def test_the_caller_may_change_a_first_trial_without_harm() -> None:
    first_trials(Config())[0]["lr"] = 5.0
    assert first_trials(Config())[0]["lr"] == 1e-4
