"""First epochs without labels: two views of an image are drawn together (SimCLR).

Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020: the projection is thrown away, the backbone is then trained as usual.

Shape legend: B images of a batch, D features.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hierclf.config import Config
from hierclf.nets.two_heads import Outputs, TwoHeadNet
from hierclf.training.inputs import Inputs
from hierclf.training.loop import train_epoch
from hierclf.training.losses import contrastive_loss
from hierclf.training.optimisation import Precision, make_optimisation, restore_layout
from hierclf.training.replica import Replica
from hierclf.training.samplers import beside
from hierclf.training.seeding import seeded

PROJECTED = 128
_ORDER = 3  # of random numbers: apart from those of the training images


def nt_xent(features: Tensor, images: Tensor, *, temperature: float) -> Tensor:
    """The normalised temperature-scaled cross-entropy (Chen et al., "SimCLR", ICML 2020).

    Of the views z of the images of a batch, and s(a, b) = cos(a, b) / temperature, it is the mean
    over views i, with j the other view of the image, of -log(exp s(i, j) / sum of exp s(i, k) over
    all views k but i).

    Args:
        features: float32 [2 B, D].
        images: int64 [2 B], the number of the image of each view.
        temperature: above 0.
    """
    return contrastive_loss(features, (images,), temperature=temperature)


class _Projected(nn.Module):
    """A network whose features pass through a projection: two layers, as in the paper."""

    def __init__(self, net: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.net, self.projection = net, projection

    def forward(self, images: Tensor) -> Outputs:
        outputs: Outputs = self.net(images)
        return outputs._replace(features=self.projection(outputs.features))


class SelfSupervised:
    """The first epochs of a network on one fold, on its training images alone.

    Args:
        net: the network, for its backbone.
        trained: the same as it is trained, such as wrapped by DistributedDataParallel.
        inputs: what feeds the network.
        config: the configuration; `train.self_supervised` epochs are trained.
        others: images without labels, and what feeds the network with them; None for none. A step
            shows as many of them as of the training images.
        replica: this process's part in distributed training.
        steps: of an epoch.
        device: where the network is.
        precision: of the forward pass.
    """

    def __init__(
        self,
        net: TwoHeadNet,
        trained: nn.Module,
        inputs: Inputs,
        config: Config,
        *,
        others: tuple[NDArray[np.int64], Inputs] | None,
        replica: Replica,
        steps: int,
        device: torch.device,
        precision: Precision,
    ) -> None:
        self.inputs, self.config, self.device, self.precision = inputs, config, device, precision
        self.others, self.replica = others, replica
        n_features = net.heads.super_head.in_features
        with seeded(config.seed, device):
            projection = nn.Sequential(
                nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, PROJECTED)
            )
        self.projection = projection.to(device)
        self.projected = _Projected(trained, replica.wrap(self.projection))
        self.optimisation = make_optimisation(
            nn.ModuleList([net.backbone, self.projection]),
            config.train,
            n_steps=steps * config.train.self_supervised,
            device=device,
            precision=precision,
        )

    def train_epoch(
        self, epoch: int, batches: Sequence[np.ndarray], generator: torch.Generator
    ) -> float:
        """Train one epoch.

        Args:
            epoch: its number, from 1.
            batches: rows of the training images of each step, int64 [B].
            generator: of the augmentation.

        Returns:
            The mean loss.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite.
        """
        return train_epoch(
            self.projected,
            self._pairs(batches, self._beside(epoch, batches), generator),
            self.optimisation,
            loss=self._loss,
            config=self.config.train,
            precision=self.precision,
        )

    def _beside(self, epoch: int, batches: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """The rows of images without labels in each step."""
        if self.others is None:
            return []
        rank, world = self.replica.rank, self.replica.world
        size = world * max(map(len, batches))
        rng = np.random.default_rng([self.config.seed, epoch, 0, _ORDER])
        how = {"size": size, "rank": rank, "world": world}
        return beside(self.others[0], rng, steps=len(batches), **how)

    def _pairs(
        self,
        batches: Sequence[np.ndarray],
        others: Sequence[np.ndarray],
        generator: torch.Generator,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Two views of each image of a batch, one after the other, and the image's number twice."""
        every = self.inputs.train(_twice(batches), generator)
        if self.others is not None:
            extra = self.others[1].train(_twice(others), generator)
            every = (torch.cat(pair) for pair in zip(every, extra, strict=True))
        for views in every:
            images = torch.arange(len(views), device=views.device) // 2
            yield views, images, images

    def _loss(self, outputs: Outputs, images: Tensor, _: Tensor) -> Tensor:
        loss = nt_xent(
            outputs.features.float(),
            images,
            temperature=self.config.train.self_supervised_temperature,
        )
        # DistributedDataParallel waits for a gradient of every weight; that of the heads is 0.
        return loss + 0.0 * (outputs.super_logits.float().sum() + outputs.sub_logits.float().sum())

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        optimizer, schedule, scaler = self.optimisation
        return {
            "projection": self.projection.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "scaler": scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        optimizer, schedule, scaler = self.optimisation
        self.projection.load_state_dict(state["projection"])
        optimizer.load_state_dict(state["optimizer"])
        restore_layout(optimizer)
        schedule.load_state_dict(state["schedule"])
        scaler.load_state_dict(state["scaler"])


def _twice(batches: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [np.repeat(rows, 2) for rows in batches]


def make_self_supervised(
    net: nn.Module, trained: nn.Module, inputs: Inputs, config: Config, **options: Any
) -> SelfSupervised | None:
    """What trains the first epochs where these need no labels; None where all have labels.

    Arguments as of `SelfSupervised`.
    """
    if not config.train.self_supervised:
        return None
    assert isinstance(net, TwoHeadNet)
    return SelfSupervised(net, trained, inputs, config, **options)
