"""Training: one step in mixed precision, one epoch, and the network's outputs.

Shape legend: B images, S super-classes, C sub-classes, D features.
"""

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs, known_outputs
from hierclf.training.inputs import Inputs
from hierclf.training.losses import Loss
from hierclf.training.mixing import Mix
from hierclf.training.optimisation import Optimisation, Precision
from hierclf.training.outlier_loss import OutlierBatch, OutlierLoss


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; the message names the step."""


def train_step(
    net: nn.Module,
    inputs: Tensor,
    super_labels: Tensor,
    sub_labels: Tensor,
    optimisation: Optimisation,
    *,
    loss: Loss,
    config: TrainConfig,
    precision: Precision,
    mix: Mix | None = None,
    outliers: OutlierBatch | None = None,
    outlier_loss: OutlierLoss | None = None,
) -> Tensor:
    """One optimiser step. Nothing here waits for the device.

    A batch that is computed in parts gives the gradient of the whole; BatchNorm, and a loss that
    compares images, see one part at a time. Images of no known class pass through the network with
    the others, and their loss is added.

    Returns:
        The detached loss, a float scalar on the device.
    """
    optimizer, schedule, scaler = optimisation
    optimizer.zero_grad(set_to_none=True)
    inputs, own = (inputs, 1.0) if mix is None else mix(inputs)
    others = super_labels.roll(1), sub_labels.roll(1)
    values = []
    parts = _parts(len(inputs), config.accumulate)
    for number, part in enumerate(parts):
        extra = None if outliers is None else _share(outliers, number, len(parts))
        outputs, of_none = _forward(net, inputs[part], extra, precision)
        value = loss(outputs, super_labels[part], sub_labels[part])
        if own < 1:
            of_others = loss(outputs, *(labels[part] for labels in others))
            value = own * value + (1 - own) * of_others
        if extra is not None and of_none is not None and outlier_loss is not None:
            value = value + outlier_loss(outputs, of_none, extra.new_super)
        if config.accumulate > 1:
            value = value * ((part.stop - part.start) / len(inputs))
        scaler.scale(value).backward()
        values.append(value.detach())
    if config.clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), config.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    schedule.step()
    return values[0] if len(values) == 1 else torch.stack(values).sum()


def _share(batch: OutlierBatch, number: int, n_parts: int) -> OutlierBatch:
    """One of several parts of a batch, about equal in size."""
    n_images = len(batch.new_super)
    part = slice(n_images * number // n_parts, n_images * (number + 1) // n_parts)
    return OutlierBatch(*(tensor[part] for tensor in batch))


def _forward(
    net: nn.Module, inputs: Tensor, extra: OutlierBatch | None, precision: Precision
) -> tuple[Outputs, Outputs | None]:
    """The network's outputs of images of known classes, and of those of none."""
    images = inputs if extra is None else torch.cat([inputs, extra.inputs])
    with _autocast(inputs.device, precision):
        outputs = net(images)
    if extra is None:
        return outputs, None
    n_known = len(inputs)
    return Outputs(*(t[:n_known] for t in outputs)), Outputs(*(t[n_known:] for t in outputs))


def train_epoch(
    net: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor, Tensor]],
    optimisation: Optimisation,
    *,
    loss: Loss,
    config: TrainConfig,
    precision: Precision,
    mix: Mix | None = None,
    outliers: Iterator[OutlierBatch] | None = None,
    outlier_loss: OutlierLoss | None = None,
    still: nn.Module | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """Run over the batches of (inputs, super labels, sub labels) once.

    Args:
        mix: mixes images and their labels.
        outliers: images of no known class for each step; None for none.
        outlier_loss: what their outputs add to the loss.
        still: a part of the network that stays in evaluation mode.
        after_step: called after every step.

    Returns:
        The mean loss.

    Raises:
        NonFiniteLossError: naming the first step of the epoch whose loss was not finite. The
            losses are looked at once, after the last step, so that no step waits for the device.
    """
    net.train()
    if still is not None:
        still.eval()
    steps = []
    for inputs, super_labels, sub_labels in batches:
        value = train_step(
            net,
            inputs,
            super_labels,
            sub_labels,
            optimisation,
            loss=loss,
            config=config,
            precision=precision,
            mix=mix,
            outliers=None if outliers is None else next(outliers),
            outlier_loss=outlier_loss,
        )
        steps.append(value)
        after_step()
    losses = torch.stack(steps).cpu()
    bad = torch.nonzero(~torch.isfinite(losses))
    if len(bad):
        step = int(bad[0])
        raise NonFiniteLossError(
            f"the loss must stay finite, but was {float(losses[step])} at step {step + 1} of "
            f"{len(losses)}; lower lr (now {config.lr:g}) or set train.clip_norm"
        )
    return float(losses.mean())


@torch.inference_mode()
def network_outputs(
    net: nn.Module,
    inputs: Inputs,
    rows: np.ndarray,
    *,
    n_super: int,
    n_sub: int,
    batch_size: int,
    precision: Precision,
) -> Outputs:
    """Evaluate some images, read in ascending order; the novel unit is cut off.

    Args:
        rows: int64 [N], N >= 1.

    Returns:
        float32 tensors on the CPU, in the order of `rows`: features [N, D], super logits [N, S],
        sub logits [N, C]. Nothing else of their size is kept beside them.
    """
    net.eval()
    order = np.argsort(rows, kind="stable")  # reads files from beginning to end
    places = [order[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    found: Outputs | None = None
    for place, batch in zip(places, inputs.eval([rows[place] for place in places]), strict=True):
        with _autocast(batch.device, precision):
            outputs = known_outputs(net(batch), n_super, n_sub)
        if found is None:
            found = Outputs(*(torch.empty((len(rows), part.shape[1])) for part in outputs))
        for whole, part in zip(found, outputs, strict=True):
            whole[torch.from_numpy(place)] = part.float().cpu()
    assert found is not None
    return found


def _parts(n_images: int, n_parts: int) -> list[slice]:
    """A batch in parts of two images or more, which BatchNorm needs; one where it is too small."""
    n_parts = max(1, min(n_parts, n_images // 2))
    bounds = [n_images * i // n_parts for i in range(n_parts + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def _autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    if precision.dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision.dtype)
