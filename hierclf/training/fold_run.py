"""One network on one fold: build it, train it epoch by epoch, look at it, store and restore it."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.bundle.directory import Bundle
from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.data.stream import ImageStream
from hierclf.io.tensors import load_tensors, save_tensors
from hierclf.nets.backbones import build_backbone
from hierclf.nets.inference import images_at_a_time
from hierclf.nets.preprocessing import Preprocessing
from hierclf.nets.two_heads import Outputs, TwoHeadNet, TwoHeads, score_inputs
from hierclf.rules.decoding import DECODINGS, Decoding
from hierclf.rules.score_table import ScoreTable
from hierclf.scores import SCORES, PretrainedHead, ScoreInputs, State, fit_scores, score_columns
from hierclf.training.fold_table import fold_table
from hierclf.training.folds import Fold
from hierclf.training.inputs import Inputs, feature_inputs, image_inputs
from hierclf.training.loop import (
    NonFiniteLossError,
    make_optimisation,
    network_outputs,
    pick_precision,
    train_epoch,
)

Wrap = Callable[[nn.Module], nn.Module]


class FoldRun:
    """The state of training on one fold.

    Args:
        features: the feature bank when the backbone is frozen, else None.
        pretrained_head: the classifier head of the frozen backbone's weights, if a score uses it.
        wrap: called once on the network before training; distributed training passes its own.
        rank, world: which share of every batch this process computes.

    Same seed, same configuration: same network, batches and augmentation, whatever was run before,
    since every random number comes from (seed, epoch).
    """

    def __init__(
        self,
        fold: Fold,
        cache: ImageCache,
        config: Config,
        device: torch.device,
        *,
        features: np.ndarray | None = None,
        pretrained_head: PretrainedHead | None = None,
        wrap: Wrap | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.fold, self.cache, self.config, self.device = fold, cache, config, device
        self.rank, self.world, self.pretrained_head = rank, world, pretrained_head
        self.precision = pick_precision(config.train.precision, device)
        torch.manual_seed(config.seed)
        self.net, self.inputs = _network_and_inputs(fold, cache, config, device, features)
        self.eval_batch_size = config.train.eval_batch_size
        if features is None:
            most, size = self.eval_batch_size, config.model.image_size
            self.eval_batch_size = images_at_a_time(size, device, most=most)
        trained = self.net if wrap is None else wrap(self.net)
        self.trained = cast(nn.Module, torch.compile(trained)) if config.train.compile else trained
        self.steps = max(1, round(len(fold.train) / config.train.batch_size))
        self.optimisation = make_optimisation(
            self.net,
            config.train,
            n_steps=self.steps * config.train.epochs,
            device=device,
            precision=self.precision,
        )

    def train_epoch(self, epoch: int) -> float:
        """Train the epoch-th time (from 1) over the fold's training images; the mean loss."""
        seed = [self.config.seed, epoch, self.rank]
        generator = torch.Generator(self.device).manual_seed(int(_rng(seed).integers(2**62)))
        batches = self._batches(epoch)
        labelled = (
            (inputs, *self._labels(rows))
            for rows, inputs in zip(batches, self.inputs.train(batches, generator), strict=True)
        )
        return train_epoch(
            self.trained,
            labelled,
            self.optimisation,
            config=self.config.train,
            precision=self.precision,
        )

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """The training rows of every step of an epoch, int64 [B] each."""
        rng, images = _rng([self.config.seed, epoch]), self.cache.images
        if isinstance(images, ImageStream):
            order = images.shuffled(self.fold.train, rng)
        else:
            order = rng.permutation(self.fold.train)
        # Batches of nearly equal size: no image is dropped and no tiny last batch upsets BatchNorm.
        return [rows[self.rank :: self.world] for rows in np.array_split(order, self.steps)]

    def _labels(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Their labels as the heads count them, int64 [B] each."""
        super_labels = np.searchsorted(self.fold.known_super, self.cache.super_labels[rows])
        sub_labels = np.searchsorted(self.fold.known_sub, self.cache.sub_labels[rows])
        return (
            torch.from_numpy(super_labels).to(self.device, non_blocking=True),
            torch.from_numpy(sub_labels).to(self.device, non_blocking=True),
        )

    def outputs(self, rows: np.ndarray) -> ScoreInputs:
        """Features and logits of the given images under evaluation, float32 arrays.

        Raises:
            NonFiniteLossError: some are not finite; the last step has destroyed the network.
        """
        order = np.argsort(rows, kind="stable")  # files are read from their beginning to their end
        outputs = network_outputs(
            self.net,
            self.inputs,
            rows[order],
            n_super=len(self.fold.known_super),
            n_sub=len(self.fold.known_sub),
            batch_size=self.eval_batch_size,
            precision=self.precision,
        )
        if not all(bool(torch.isfinite(tensor).all()) for tensor in outputs):
            raise NonFiniteLossError(
                "the network's outputs must stay finite, but are not; lower lr "
                f"(now {self.config.train.lr:g}) or set train.clip_norm"
            )
        back = torch.from_numpy(np.argsort(order))
        return score_inputs(Outputs(*(tensor[back] for tensor in outputs)))

    def fitted_scores(self, names: tuple[str, ...]) -> State:
        """Fit the named scores on the fold's training images."""
        scores = {name: SCORES[name] for name in names}
        rows = self.fold.train
        return fit_scores(
            self.outputs(rows)._replace(pretrained_head=self.pretrained_head),
            self.cache.super_labels[rows],
            self.cache.sub_labels[rows],
            scores=scores,
        )

    def table(
        self, names: tuple[str, ...], states: State, *, calibrated: bool = True
    ) -> ScoreTable:
        """The score table of the fold's val and held_out images, with the named scores."""
        tables = self.tables(names, states, decodings=("top-down",), calibrated=calibrated)
        return tables["top-down"]

    def tables(
        self,
        names: tuple[str, ...],
        states: State,
        *,
        decodings: tuple[Decoding, ...] = DECODINGS,
        calibrated: bool = True,
    ) -> dict[Decoding, ScoreTable]:
        """The score table under each of some decodings."""
        rows = np.concatenate([self.fold.val, self.fold.held_out])
        inputs = self.outputs(rows)
        columns = score_columns(states, inputs, scores={name: SCORES[name] for name in names})
        return {
            decoding: fold_table(
                self.fold,
                rows,
                inputs=inputs,
                columns=columns,
                names=self.cache.names,
                super_labels=self.cache.super_labels,
                sub_labels=self.cache.sub_labels,
                hierarchy=self.cache.hierarchy,
                decoding=decoding,
                calibrated=calibrated,
            )
            for decoding in decodings
        }

    def save(self, directory: Path) -> None:
        """Write network, optimiser, schedule and scaler into a directory that exists."""
        optimizer, schedule, scaler = self.optimisation
        save_tensors(
            directory / f"{self.fold.name}.safetensors",
            {
                "net": self.net.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "scaler": scaler.state_dict(),
            },
        )

    def load(self, directory: Path) -> None:
        """Restore what `save` wrote; training goes on as if it had never stopped."""
        state = load_tensors(directory / f"{self.fold.name}.safetensors")
        optimizer, schedule, scaler = self.optimisation
        self.net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        _restore_layout(optimizer)
        schedule.load_state_dict(state["schedule"])
        scaler.load_state_dict(state["scaler"])


def _network_and_inputs(
    fold: Fold,
    cache: ImageCache,
    config: Config,
    device: torch.device,
    features: np.ndarray | None,
) -> tuple[nn.Module, Inputs]:
    n_super, n_sub = len(fold.known_super), len(fold.known_sub)
    novel_output = config.model.novel_output
    if features is not None:
        heads = TwoHeads(features.shape[2], n_super, n_sub, novel_output=novel_output)
        inputs = feature_inputs(
            features,
            strength=config.train.strength,
            max_strength=config.max_strength,
            device=device,
        )
        return heads.to(device), inputs
    backbone = build_backbone(config.model.backbone, config.model.weights)
    heads = TwoHeads(backbone.n_features, n_super, n_sub, novel_output=novel_output)
    inputs = image_inputs(
        cache.images,
        size=config.model.image_size,
        crop_fraction=config.model.crop_fraction,
        interpolation=backbone.interpolation,
        strength=config.train.strength,
        device=device,
    )
    return TwoHeadNet(backbone, heads).to(memory_format=torch.channels_last).to(device), inputs


def _restore_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give the moments the memory layout of their parameters again; the file holds them contiguous.

    A fused optimiser walks through memory, whatever the strides: it would update each weight of a
    channels_last convolution with the moments of another one.
    """
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)


def _rng(seed: list[int]) -> np.random.Generator:
    return np.random.default_rng(seed)


def bundle_from_run(run: FoldRun, states: State) -> Bundle:
    """The bundle of a trained network; heads trained on frozen features get their backbone back."""
    model = run.config.model
    backbone = build_backbone(model.backbone, model.weights)
    net = run.net if isinstance(run.net, TwoHeadNet) else TwoHeadNet(backbone, run.net)  # type: ignore[arg-type]
    return Bundle(
        net=net.cpu().eval(),
        backbone=model.backbone,
        novel_output=model.novel_output,
        preprocessing=Preprocessing(
            height=run.cache.images.shape[1],
            width=run.cache.images.shape[2],
            image_size=model.image_size,
            crop_fraction=model.crop_fraction,
            interpolation=backbone.interpolation,
        ),
        hierarchy=run.cache.hierarchy,
        scores=run.config.thresholds.scores,
        states=states,
    )
