"""How long the training of a search takes, from a few batches that are timed.

Shape legend: N images.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from hierclf.config import Config
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import REFIT, Fold
from hierclf.training.prepare import Prepared
from search.trials.plan import Plan

_BATCHES = 4


class Speed(NamedTuple):
    """Seconds an image: to train on it once, and to evaluate it once."""

    train: float
    evaluate: float


class Stages(NamedTuple):
    """Seconds of training and evaluation in the stages that train.

    Attributes:
        search: at most; a trial that is stopped early takes less.
        confirm: of both configurations; half of it if the search finds no other values.
        refit: of the final network.
    """

    search: float
    confirm: float
    refit: float


def measure_speed(config: Config, prepared: Prepared, fold: str, plan: Plan) -> Speed:
    """Train and evaluate a few batches of a fold twice, as a trial would; the second time counts.

    Args:
        config: the configuration as it is.
        prepared: images and folds.
        fold: name of the fold.
        plan: how many cores a worker has, and whether it has a GPU.
    """
    device = torch.device("cuda" if plan.use_gpu and torch.cuda.is_available() else "cpu")
    whole = prepared.folds[fold]
    few = np.sort(
        np.random.default_rng(0).permutation(whole.train)[: _BATCHES * config.train.batch_size]
    )
    before = torch.get_num_threads()
    torch.set_num_threads(plan.cpus_per_worker)
    try:
        run = FoldRun(replace(whole, train=few), prepared, config, device)
        for epoch in (1, 2):
            started = time.perf_counter()
            run.train_epoch(epoch)
            trained = time.perf_counter()
            run.outputs(few)
            evaluated = time.perf_counter()
    finally:
        torch.set_num_threads(before)
    return Speed((trained - started) / len(few), (evaluated - trained) / len(few))


def estimate_stages(
    config: Config, folds: dict[str, Fold], chosen_on: Iterable[str], speed: Speed, plan: Plan
) -> Stages:
    """Seconds of each stage, if every worker is as fast as the one that was measured.

    Args:
        config: says how many trials and epochs.
        folds: all of them by name.
        chosen_on: names of the folds that trials train on.
        speed: from `measure_speed`.
        plan: how many trials run at a time, and how many workers share one.
    """

    def seconds(names: Iterable[str]) -> float:
        """Of one epoch of some folds."""
        each = (
            speed.train * len(folds[name].train)
            + speed.evaluate * (len(folds[name].val) + len(folds[name].held_out))
            for name in names
        )
        return sum(each) / plan.workers

    epochs, at_a_time = config.train.epochs, plan.trials_at_a_time
    confirmed = seconds(name for name in folds if name != REFIT)
    rounds = -(-config.search.trials // at_a_time)
    return Stages(
        search=epochs * seconds(chosen_on) * rounds,
        confirm=(2 if config.search.trials else 1) * epochs * confirmed / at_a_time,
        refit=epochs * seconds([REFIT]),
    )
