"""The search space: which values of the configuration a trial varies."""

from optuna.distributions import BaseDistribution, FloatDistribution

from hierclf.config import Config

PAPER_VALUES = {"lr": 1e-4, "weight_decay": 1e-4, "strength": 1.0}
"""The hand-set values of the two-head ResNet-50 paper: what every search has to beat."""


def distributions(config: Config) -> dict[str, BaseDistribution]:
    """Learning rate and weight decay in log, augmentation strength linear."""
    search = config.search
    return {
        "lr": FloatDistribution(search.lr.low, search.lr.high, log=True),
        "weight_decay": FloatDistribution(
            search.weight_decay.low, search.weight_decay.high, log=True
        ),
        "strength": FloatDistribution(search.strength.low, search.strength.high),
    }


def first_trials(config: Config) -> list[dict[str, float]]:
    """The trials that every search begins with: the paper's values, then the configuration's own.

    Values outside the ranges are left out: the sampler could not learn from them.
    """
    own = {key: getattr(config.train, key) for key in PAPER_VALUES}
    ranges = {key: getattr(config.search, key) for key in PAPER_VALUES}
    trials = [PAPER_VALUES] if own == PAPER_VALUES else [PAPER_VALUES, own]
    return [
        dict(values)
        for values in trials
        if all(ranges[key].low <= value <= ranges[key].high for key, value in values.items())
    ]
