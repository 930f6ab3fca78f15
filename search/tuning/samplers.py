"""Optuna's samplers by the names that the configuration gives them."""

import warnings
from importlib.util import find_spec

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from hierclf.config.search import Sampler


def check_sampler(name: Sampler) -> None:
    """Refuse a sampler whose package is not installed, before anything starts.

    Raises:
        ValueError: the message has the command to install it.
    """
    if name == "cmaes" and find_spec("cmaes") is None:
        raise ValueError(
            "search.sampler=cmaes needs the package cmaes, which is not installed: "
            "run pip install cmaes"
        )


def make_sampler(name: Sampler, *, sequence: int, draws: int) -> BaseSampler:
    """The sampler of that name for one trial; all that it knows is in the study.

    Args:
        name: as in `search.sampler`.
        sequence: in [0, 2**32); of a quasi-random sequence, the same for all trials of a study.
        draws: in [0, 2**32); of random numbers, another one for each trial.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # its interface may change
        match name:
            case "tpe":
                return TPESampler(seed=draws)
            case "gp":
                return GPSampler(seed=draws)
            case "cmaes":
                return CmaEsSampler(
                    seed=draws,
                    independent_sampler=RandomSampler(seed=draws),
                    warn_independent_sampling=False,
                )
            case "qmc":
                return QMCSampler(
                    scramble=True,
                    seed=sequence,
                    independent_sampler=RandomSampler(seed=draws),
                    warn_independent_sampling=False,
                )
            case "random":
                return RandomSampler(seed=draws)
