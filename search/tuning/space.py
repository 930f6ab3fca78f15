"""The search space as Optuna sees it, and the trials that every search begins with."""

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hierclf.config import Choices, Config
from hierclf.config.space import Scalar, is_whole

PAPER_VALUES: dict[str, Scalar] = {
    "train.lr": 1e-4,
    "train.weight_decay": 1e-4,
    "train.strength": 1.0,
}
"""The hand-set values of the two-head ResNet-50 paper: the baseline of every search."""


def distributions(config: Config) -> dict[str, BaseDistribution]:
    """The distribution of every searched value, by dotted key."""
    return {key: _distribution(config, key) for key in config.search.space}


def _distribution(config: Config, key: str) -> BaseDistribution:
    parameter = config.search.space[key]
    if isinstance(parameter, Choices):
        return CategoricalDistribution(_choices(config, key))
    if not is_whole(Config, key):
        low, high = parameter.low, parameter.high
        return FloatDistribution(low, high, log=parameter.log, step=parameter.step)
    step = int(parameter.step or 1)
    return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=step)


def _choices(config: Config, key: str) -> list[Any]:
    """The choices as the configuration reads them: a number where YAML has the text 1e-4."""
    return [config.with_values({key: choice}).value(key) for choice in config.tried(key)]


def first_trials(config: Config) -> list[dict[str, Any]]:
    """The trials that a search begins with: the paper's values, then the configuration's own.

    What the space does not vary has the configuration's value in both. A trial with a value outside
    the space is left out: the sampler could not learn from it.
    """
    space = config.search.space
    own = {key: config.value(key) for key in space}
    paper = own | {key: value for key, value in PAPER_VALUES.items() if key in space}
    trials = [paper] if own == paper else [paper, own]
    return [trial for trial in trials if all(_contains(config, key, trial[key]) for key in space)]


def _contains(config: Config, key: str, value: Scalar) -> bool:
    parameter = config.search.space[key]
    if isinstance(parameter, Choices):
        return value in _choices(config, key)
    return value in parameter
