"""Training: one step in mixed precision, one epoch, and the network's outputs.

Shape legend: B images, S super-classes, C sub-classes, D features.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs, known_outputs
from hierclf.training.inputs import Inputs
from hierclf.training.losses import Loss
from hierclf.training.optimisation import Optimisation, Precision


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
) -> Tensor:
    """One optimiser step. Nothing here waits for the device.

    Returns:
        The detached loss, a float scalar on the device.
    """
    optimizer, schedule, scaler = optimisation
    optimizer.zero_grad(set_to_none=True)
    with _autocast(inputs.device, precision):
        outputs = net(inputs)
    value = loss(outputs, super_labels, sub_labels)
    scaler.scale(value).backward()
    if config.clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), config.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    schedule.step()
    return value.detach()


def train_epoch(
    net: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor, Tensor]],
    optimisation: Optimisation,
    *,
    loss: Loss,
    config: TrainConfig,
    precision: Precision,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """Run over the batches of (inputs, super labels, sub labels) once.

    Args:
        after_step: called after every step.

    Returns:
        The mean loss.

    Raises:
        NonFiniteLossError: naming the first step of the epoch whose loss was not finite. The
            losses are looked at once, after the last step, so that no step waits for the device.
    """
    net.train()
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
    """Evaluate the rows, in order; the novel unit is cut off.

    Returns:
        float32 tensors on the CPU: features [N, D], super logits [N, S], sub logits [N, C].
    """
    net.eval()
    parts = []
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    for batch in inputs.eval(batches):
        with _autocast(batch.device, precision):
            outputs = net(batch)
        parts.append([tensor.float().cpu() for tensor in known_outputs(outputs, n_super, n_sub)])
    return Outputs(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[Any]:
    if precision.dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision.dtype)
