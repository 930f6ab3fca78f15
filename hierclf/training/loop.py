"""Training: one step in mixed precision, one epoch, and the network's outputs.

Shape legend: B images, S super-classes, C sub-classes, D features.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs, known_outputs
from hierclf.training.inputs import Inputs
from hierclf.training.losses import Loss

FINAL_LR = 1e-6


class NonFiniteLossError(ArithmeticError):
    """The loss became NaN or infinite; the message names the step."""


class Precision(NamedTuple):
    """How the forward pass is computed.

    Attributes:
        dtype: of autocast; None computes in float32.
        scaled: gradients need loss scaling (float16 only).
    """

    dtype: torch.dtype | None
    scaled: bool


class Optimisation(NamedTuple):
    """The moving parts of training, besides the network."""

    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler


def pick_precision(name: str, device: torch.device) -> Precision:
    """Resolve `auto`: bf16 where the device computes it natively, fp16 on older GPUs, else fp32.

    Emulated bf16 is no gain: on a CPU without it, it is about ten times slower than float32.
    """
    if name == "auto":
        if device.type == "cuda":
            name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        else:
            # An older torch does not say what the CPU can do.
            capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
            name = "bf16" if capabilities.get("avx512_bf16", False) else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise ValueError(f"train.precision=fp16 needs a CUDA device, but got {device.type}")
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
    return Precision(dtype, scaled=name == "fp16")


def make_optimisation(
    net: nn.Module, config: TrainConfig, *, n_steps: int, device: torch.device, precision: Precision
) -> Optimisation:
    """AdamW, cosine annealing from lr to 1e-6 over n_steps, and a scaler that fp16 alone uses."""
    optimizer = torch.optim.AdamW(
        (p for p in net.parameters() if p.requires_grad),
        lr=config.lr,
        weight_decay=config.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=max(1, n_steps), eta_min=min(FINAL_LR, config.lr)
    )
    return Optimisation(
        optimizer, schedule, torch.amp.GradScaler(device.type, enabled=precision.scaled)
    )


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
) -> float:
    """Run over the batches of (inputs, super labels, sub labels) once.

    Returns:
        The mean loss.

    Raises:
        NonFiniteLossError: naming the first step of the epoch whose loss was not finite. The
            losses are looked at once, after the last step, so that no step waits for the device.
    """
    net.train()
    losses = torch.stack(
        [
            train_step(
                net,
                inputs,
                super_labels,
                sub_labels,
                optimisation,
                loss=loss,
                config=config,
                precision=precision,
            )
            for inputs, super_labels, sub_labels in batches
        ]
    ).cpu()
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
