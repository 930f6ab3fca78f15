"""The values that a search varies, and the trials it begins with."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hierclf.config import Config, load_config, parse_config
from search.tuning.space import PAPER_VALUES, distributions, first_trials


def test_a_parameter_becomes_the_distribution_of_its_kind() -> None:
    config = parse_config(
        {
            "search": {
                "space": {
                    "train.lr": {"low": 1e-4, "high": 1e-2, "log": True},
                    "train.strength": {"low": 0, "high": 2},
                    "train.sub_weight": {"low": 0.5, "high": 2, "step": 0.5},
                    "train.batch_size": {"low": 16, "high": 64, "step": 16},
                    "train.views": {"low": 1, "high": 8, "log": True},
                    "train.clip_norm": {"choices": [None, "1e-1"]},
                    "model.backbone": {"choices": ["resnet18", "resnet50"]},
                }
            }
        }
    )
    assert distributions(config) == {
        "train.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "train.strength": FloatDistribution(0.0, 2.0),
        "train.sub_weight": FloatDistribution(0.5, 2.0, step=0.5),
        "train.batch_size": IntDistribution(16, 64, step=16),
        "train.views": IntDistribution(1, 8, log=True),
        "train.clip_norm": CategoricalDistribution([None, 0.1]),  # YAML reads 1e-1 as text
        "model.backbone": CategoricalDistribution(["resnet18", "resnet50"]),
    }


def test_a_search_begins_with_the_papers_values_then_the_configurations_own() -> None:
    config = parse_config({"train": {"lr": 2e-3, "weight_decay": 1e-2, "strength": 0.5}})
    assert first_trials(config) == [
        {"train.lr": 1e-4, "train.weight_decay": 1e-4, "train.strength": 1.0},
        {"train.lr": 2e-3, "train.weight_decay": 1e-2, "train.strength": 0.5},
    ]


def test_what_the_paper_does_not_say_is_the_configurations() -> None:
    config = load_config(
        None,
        [
            "train.lr=2e-3",
            "search.space={train.lr: {low: 1e-5, high: 1}, train.batch_size: {choices: [32, 64]}}",
        ],
    )
    assert first_trials(config) == [
        {"train.lr": 1e-4, "train.batch_size": 64},
        {"train.lr": 2e-3, "train.batch_size": 64},
    ]


def test_the_papers_own_configuration_is_tried_once() -> None:
    assert first_trials(Config()) == [PAPER_VALUES]


@pytest.mark.parametrize(
    ("override", "left"),
    [
        ("train.lr.low=1e-3", 1),  # the paper's 1e-4 is below
        ("train.strength.high=0.9", 1),  # the paper's 1.0 is above
        ("train.lr.high=1e-3", 1),  # the configuration's own 2e-3 is above
        ("train.weight_decay={low: 1.0, high: 2.0}", 0),
        ("train.lr={low: 1e-4, high: 2e-3}", 2),  # the ends belong to the interval
        ("train.strength={low: 0, high: 2, step: 0.4}", 0),  # neither is a multiple
        ("train.strength={choices: [0.5, 2]}", 1),
        ("train.batch_size={choices: [32, 128]}", 0),
    ],
)
def test_a_trial_outside_the_space_is_left_out(override: str, left: int) -> None:
    own = ["train.lr=2e-3", "train.weight_decay=1e-2", "train.strength=0.5"]
    config = load_config(None, [*own, f"search.space.{override}"])
    trials: list[dict[str, Any]] = first_trials(config)
    assert len(trials) == left
    for trial in trials:
        space = distributions(config)
        assert all(space[key]._contains(space[key].to_internal_repr(trial[key])) for key in space)


def test_the_caller_may_change_a_first_trial_without_harm() -> None:
    first_trials(Config())[0]["train.lr"] = 5.0
    assert first_trials(Config())[0]["train.lr"] == 1e-4
