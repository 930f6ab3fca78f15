"""The processes that train one network together, and how they divide an epoch."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn


class Replica(NamedTuple):
    """One of the processes that train a network together, by data parallelism.

    Attributes:
        rank: number of this process, 0..world-1; it computes every world-th image of a batch.
        world: how many processes there are.
        wrap: called once on the network before training, as DistributedDataParallel is.
    """

    rank: int = 0
    world: int = 1
    wrap: Callable[[nn.Module], nn.Module] = lambda net: net


ALONE = Replica()


def n_steps(n_images: int, batch_size: int, world: int) -> int:
    """Steps of an epoch, whose batches have about `batch_size` images.

    Each gives each of the `world` processes two images or more: BatchNorm cannot take one.
    """
    return max(1, min(round(n_images / batch_size), n_images // (2 * world)))
