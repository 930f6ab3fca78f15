"""Training state of one network on one fold: build, train by epochs, evaluate, save and restore.

Shape legend: B images of a batch, N images.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.config import Config
from hierclf.data.stream import ImageStream
from hierclf.io.tensors import load_tensors, save_tensors
from hierclf.nets.inference import images_at_a_time
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads, score_inputs
from hierclf.scores import ScoreInputs
from hierclf.training.averages import averaged, make_average, mean_heads, with_seed
from hierclf.training.construction import (
    build_inputs,
    build_network,
    build_outliers,
    novel_inputs,
    unlabelled_inputs,
)
from hierclf.training.discriminant import fit_heads
from hierclf.training.folds import Fold
from hierclf.training.inputs import Inputs
from hierclf.training.loop import NonFiniteLossError, network_outputs, train_epoch
from hierclf.training.losses import make_loss, make_tree
from hierclf.training.mixing import make_mix
from hierclf.training.optimisation import make_optimisation, pick_precision, restore_layout
from hierclf.training.outlier_loss import OutlierBatch, make_outlier_loss
from hierclf.training.prepare import Prepared
from hierclf.training.replica import ALONE, Replica, n_steps
from hierclf.training.samplers import epoch_order, image_losses, of_first_worker
from hierclf.training.seeding import seeded
from hierclf.training.self_supervised import make_self_supervised

_CHECKED = 4096  # images whose outputs are checked together: the check takes memory of their size


class FoldRun:
    """The state of training on one fold.

    The same seed and configuration give the same network, batches and augmentation, whatever the
    process did before: every random number is drawn from (seed, epoch).

    Args:
        fold: the images to train on and the classes to know.
        prepared: images, and features where the backbone is frozen.
        config: the configuration.
        device: where to train.
        replica: this process's part in distributed training.
    """

    def __init__(
        self,
        fold: Fold,
        prepared: Prepared,
        config: Config,
        device: torch.device,
        *,
        replica: Replica = ALONE,
    ) -> None:
        self.fold, self.prepared, self.config, self.device = fold, prepared, config, device
        self.rank, self.world = replica.rank, replica.world
        self.cache = prepared.cache
        self.precision = pick_precision(config.train.precision, device)
        with seeded(config.seed, device):
            net, self.interpolation = build_network(fold, prepared, config)
        self.net = net.to(device)
        parents = np.asarray(self.cache.hierarchy.sub_to_super)[fold.known_sub]
        tree = make_tree(torch.from_numpy(np.searchsorted(fold.known_super, parents)).to(device))
        self.loss, self.mix = make_loss(config.train, tree), make_mix(config.train)
        self.outlier_loss = make_outlier_loss(config.train, tree)
        self.average = make_average(self.net, config.train)
        self.others = [
            FoldRun(fold, prepared, with_seed(config, number), device, replica=replica)
            for number in range(1, config.train.seeds)
        ]
        self.inputs = build_inputs(prepared, config, device, self.interpolation)
        self.outliers = build_outliers(fold, prepared, config, device, self.interpolation)
        self.eval_batch_size = config.train.eval_batch_size
        if prepared.features is None:
            most, size = self.eval_batch_size, config.model.image_size
            self.eval_batch_size = images_at_a_time(size, device, most=most)
        trained = replica.wrap(self.net)
        self.trained = cast(nn.Module, torch.compile(trained)) if config.train.compile else trained
        self.steps = n_steps(len(fold.train), config.train.batch_size, self.world)
        how: dict[str, Any] = {"device": device, "precision": self.precision}
        self.optimisation = make_optimisation(
            self.net,
            config.train,
            n_steps=self.steps * (config.train.epochs - config.train.self_supervised),
            head_steps=self.steps * config.train.head_epochs,
            **how,
        )
        others = unlabelled_inputs(prepared, config, device, self.interpolation)
        how |= {"others": others, "replica": replica, "steps": self.steps}
        self.first = make_self_supervised(self.net, self.trained, self.inputs, config, **how)

    def train_epoch(self, epoch: int) -> float:
        """Train one epoch on the fold's training images.

        Args:
            epoch: its number, from 1.

        Returns:
            The mean loss.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite.
        """
        losses = [self._train_epoch(epoch), *(other.train_epoch(epoch) for other in self.others)]
        return sum(losses) / len(losses)

    def _train_epoch(self, epoch: int) -> float:
        """As `train_epoch`, of the configuration's own seed."""
        train = self.config.train
        if train.heads == "lda":
            if epoch == 1:
                self._fit_heads()
            return float(self._losses().mean())
        rng = np.random.default_rng([self.config.seed, epoch, self.rank])
        augmentation = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        batches = self._batches(epoch)
        if self.first is not None and epoch <= train.self_supervised:
            with seeded(int(rng.integers(2**62)), self.device):
                return self.first.train_epoch(epoch, batches, augmentation)
        labelled = (
            (inputs, *self._labels(rows))
            for rows, inputs in zip(batches, self.inputs.train(batches, augmentation), strict=True)
        )
        with seeded(int(rng.integers(2**62)), self.device):  # dropout draws from torch's own
            loss = train_epoch(
                self.trained,
                labelled,
                self.optimisation,
                loss=self.loss,
                config=train,
                precision=self.precision,
                mix=self.mix,
                outliers=self._outlier_batches(epoch),
                outlier_loss=self.outlier_loss,
                still=self._still(epoch),
                after_step=self._average if train.average == "ema" else lambda: None,
            )
        if train.average == "snapshots" and epoch > train.epochs - train.snapshots:
            self._average()
        return loss

    def _fit_heads(self) -> None:
        """Fit the heads in closed form; every process of a trial finds the same ones."""
        assert isinstance(self.net, TwoHeads)
        rows = self.fold.train
        fit_heads(
            [self.net.super_head, self.net.sub_head],
            lambda some: self.outputs(rows[some]).features,
            [labels.cpu().numpy() for labels in self._labels(rows)],
            shrinkage=self.config.train.lda_shrinkage,
        )

    def _outlier_batches(self, epoch: int) -> Iterator[OutlierBatch] | None:
        """As many images of no known class in each step as of known ones; None for none."""
        if self.outliers is None:
            return None
        size = -(-len(self.fold.train) // self.steps)
        return self.outliers.batches(
            epoch, steps=self.steps, size=size, rank=self.rank, world=self.world
        )

    def _still(self, epoch: int) -> nn.Module | None:
        """The backbone while only the heads are trained (LP-FT, Kumar et al., ICLR 2022)."""
        train = self.config.train
        only_heads = epoch <= train.self_supervised + train.head_epochs
        return self.net.backbone if only_heads and isinstance(self.net, TwoHeadNet) else None

    def _average(self) -> None:
        assert self.average is not None
        self.average.update_parameters(self.net)

    @property
    def evaluated(self) -> nn.Module:
        """The network that predicts: the average of weights and of seeds that is configured."""
        own = averaged(self.net, self.average)
        return mean_heads([own, *(other.evaluated for other in self.others)])

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """The training rows of each step of an epoch, int64 [B] each."""
        rng, images = np.random.default_rng([self.config.seed, epoch]), self.cache.images
        if isinstance(images, ImageStream):
            order = images.shuffled(self.fold.train, rng)
        else:
            rows = self.fold.train
            labels = self.cache.sub_labels[rows]
            order = epoch_order(rows, labels, epoch, rng, self.config.train, losses=self._losses)
        # Batches of nearly equal size: no image is dropped and no tiny last batch upsets BatchNorm.
        return [rows[self.rank :: self.world] for rows in np.array_split(order, self.steps)]

    def _losses(self) -> np.ndarray:
        """The loss of each training image as evaluated, float32 [N]; the first worker's for all."""
        rows = self.fold.train
        losses = np.full(len(rows), np.nan, np.float32)
        if self.rank == 0:
            with contextlib.suppress(NonFiniteLossError):  # raised below, in every process
                losses = image_losses(
                    self.outputs(rows),
                    *(labels.cpu().numpy() for labels in self._labels(rows)),
                    sub_weight=self.config.train.sub_weight,
                )
        if self.world > 1:
            losses = of_first_worker(losses, self.device)
        if not np.isfinite(losses).all():
            raise NonFiniteLossError("the losses that choose images must be finite, but are not")
        return losses

    def _labels(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Super and sub labels as the heads number them, int64 [B] each."""
        super_labels = np.searchsorted(self.fold.known_super, self.cache.super_labels[rows])
        sub_labels = np.searchsorted(self.fold.known_sub, self.cache.sub_labels[rows])
        return (
            torch.from_numpy(super_labels).to(self.device, non_blocking=True),
            torch.from_numpy(sub_labels).to(self.device, non_blocking=True),
        )

    def outputs(self, rows: np.ndarray) -> ScoreInputs:
        """Features and logits of images, as prediction computes them.

        Args:
            rows: int64 [N], indices of images.

        Returns:
            float32 arrays [N, ...], logits over the fold's known classes.

        Raises:
            NonFiniteLossError: outputs that are not finite: the last step destroyed the network.
        """
        return self._outputs(self.inputs, rows)

    def novel_outputs(self) -> ScoreInputs:
        """As `outputs`, of the user's own novel images that judge, in order; there must be some."""
        novel = self.prepared.novel
        assert novel is not None
        inputs = novel_inputs(self.prepared, self.config, self.device, self.interpolation)
        return self._outputs(inputs, novel.judging)

    def _outputs(self, inputs: Inputs, rows: np.ndarray) -> ScoreInputs:
        outputs = network_outputs(
            self.evaluated,
            inputs,
            rows,
            n_super=len(self.fold.known_super),
            n_sub=len(self.fold.known_sub),
            batch_size=self.eval_batch_size,
            precision=self.precision,
        )
        if not all(torch.isfinite(part).all() for x in outputs for part in x.split(_CHECKED)):
            raise NonFiniteLossError(
                "the network's outputs must stay finite, but are not; lower lr "
                f"(now {self.config.train.lr:g}) or set train.clip_norm"
            )
        return score_inputs(outputs)

    def save(self, directory: Path) -> None:
        """Write network, average, optimiser, schedule and scaler into an existing directory."""
        save_tensors(directory / f"{self.fold.name}.safetensors", self._state())

    def _state(self) -> dict[str, Any]:
        optimizer, schedule, scaler = self.optimisation
        state: dict[str, Any] = {
            "net": self.net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "scaler": scaler.state_dict(),
        }
        if self.average is not None:
            state["average"] = self.average.state_dict()
        if self.first is not None:
            state["self_supervised"] = self.first.state()
        return state | {"others": [other._state() for other in self.others]}

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote, so that training continues as if uninterrupted."""
        self._restore(load_tensors(directory / f"{self.fold.name}.safetensors"))

    def _restore(self, state: dict[str, Any]) -> None:
        optimizer, schedule, scaler = self.optimisation
        self.net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        restore_layout(optimizer)
        schedule.load_state_dict(state["schedule"])
        scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.first is not None:
            self.first.restore(state["self_supervised"])
        for other, its in zip(self.others, state.get("others", []), strict=True):
            other._restore(its)
