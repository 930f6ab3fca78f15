"""Optimiser, learning-rate schedule and precision of training."""

from typing import NamedTuple

import torch
from torch import nn

from hierclf.config import TrainConfig

FINAL_LR = 1e-6


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


def restore_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give the moments the memory layout of their parameters; files hold them contiguous.

    A fused optimiser walks through memory, whatever the strides: it would update each weight of a
    channels_last convolution with the moments of another one.
    """
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)
