"""Averages of weights: over steps, over the ends of epochs, and of heads from several seeds."""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_avg_fn

from hierclf.config import Config, TrainConfig

# Between the seeds of one run's heads; no two searches with seeds below it share any.
_SEED_STEP = 1_000_003


def make_average(net: nn.Module, config: TrainConfig) -> AveragedModel | None:
    """An average of the network's weights and buffers, still empty; None if none is configured.

    `ema` is an exponential moving average; `snapshots` the mean of all that are given to it
    (stochastic weight averaging, Izmailov et al., UAI 2018). The running statistics of BatchNorm
    are averaged, too.
    """
    if config.average == "none":
        return None
    if config.average == "ema":
        rule = get_ema_multi_avg_fn(config.ema_decay)
        return AveragedModel(net, multi_avg_fn=rule, use_buffers=True)
    # Its multi_avg_fn cannot average the integers of BatchNorm (torch 2.14).
    return AveragedModel(net, avg_fn=get_swa_avg_fn(), use_buffers=True)


def averaged(net: nn.Module, average: AveragedModel | None) -> nn.Module:
    """What the average holds, or the network itself as long as it holds nothing."""
    if average is None or not average.n_averaged:
        return net
    return average.module


def with_seed(config: Config, number: int) -> Config:
    """The configuration of one of several heads: of another seed, and alone.

    Args:
        number: from 1; 0 would be the seed of the configuration itself.
    """
    alone = config.train.model_copy(update={"seeds": 1})
    return config.model_copy(update={"seed": config.seed + _SEED_STEP * number, "train": alone})


@torch.no_grad()
def mean_heads(heads: Sequence[nn.Module]) -> nn.Module:
    """Heads whose logits are the mean of those of several: linear ones of the mean weights.

    Args:
        heads: of one shape; at least one, which is returned as it is where it is the only one.
    """
    if len(heads) == 1:
        return heads[0]
    mean = copy.deepcopy(heads[0])
    for parameter, *others in zip(*(each.parameters() for each in [mean, *heads]), strict=True):
        parameter.copy_(torch.stack(others).mean(0))
    return mean
