"""Optimiser, learning-rate schedule and precision of training."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from hierclf.config import TrainConfig
from hierclf.nets.mirror import Mirrored
from hierclf.nets.two_heads import TwoHeadNet

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
    net: nn.Module,
    config: TrainConfig,
    *,
    n_steps: int,
    device: torch.device,
    precision: Precision,
    head_steps: int = 0,
) -> Optimisation:
    """AdamW, a learning rate for each step, and a scaler that fp16 alone uses.

    The rate falls from lr to 1e-6 along a cosine, after a linear rise where one is configured.

    Args:
        net: two heads, or a whole network.
        config: the section `train`.
        n_steps: of all epochs.
        device: where the network is.
        precision: of the forward pass.
        head_steps: first steps that leave the backbone as it is.
    """
    groups = parameter_groups(net, config, apart=head_steps > 0)
    optimizer = torch.optim.AdamW(
        groups, lr=config.lr, weight_decay=config.weight_decay, fused=True
    )
    if config.warmup or len(groups) > 1:
        first = [0, *[head_steps] * (len(groups) - 1)]
        schedule = _schedule(optimizer, config, n_steps=n_steps, first=first)
    else:
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=max(1, n_steps), eta_min=min(FINAL_LR, config.lr)
        )
    return Optimisation(
        optimizer, schedule, torch.amp.GradScaler(device.type, enabled=precision.scaled)
    )


def parameter_groups(net: nn.Module, config: TrainConfig, *, apart: bool) -> list[dict[str, Any]]:
    """One group of all trained parameters; or the heads, then a group for each layer from the top.

    Args:
        net: two heads, or a whole network.
        config: says how the learning rate falls from layer to layer (as in Bao et al., "BEiT",
            ICLR 2022).
        apart: whether heads and backbone have groups of their own with equal rates, too.
    """
    if not isinstance(net, TwoHeadNet) or (config.layer_decay == 1 and not apart):
        return [{"params": [p for p in net.parameters() if p.requires_grad]}]
    groups = [{"params": list(net.heads.parameters()), "lr": config.lr}]
    for depth, layer in enumerate(reversed(backbone_layers(net.backbone)), start=1):
        groups.append({"params": layer, "lr": config.lr * config.layer_decay**depth})
    return groups


def backbone_layers(backbone: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each layer of a backbone, from the image on.

    A layer is a module directly below the backbone, or below a sequence there. Normalisations
    belong to the layer before them; the backbone's own parameters, such as the embedding of
    positions, to the first layer.
    """
    if isinstance(backbone, Mirrored):
        return backbone_layers(backbone.module)
    layers = [list(backbone.parameters(recurse=False))]
    begun = False
    for child in backbone.children():
        sequence = isinstance(child, nn.Sequential | nn.ModuleList)
        for module in child.children() if sequence else [child]:
            parameters = list(module.parameters())
            if begun and any(parameter.ndim > 1 for parameter in parameters):
                layers.append(parameters)
            else:
                layers[-1] += parameters
            begun = begun or bool(parameters)
    return layers


def _schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, *, n_steps: int, first: list[int]
) -> torch.optim.lr_scheduler.LRScheduler:
    """A linear rise, then a cosine; 0 in each group before its first step."""
    n_rise = round(config.warmup * n_steps)
    final = min(FINAL_LR / config.lr, 1.0)

    def rate(step: int, begin: int) -> float:
        if step < begin:
            return 0.0
        if step < n_rise:
            return (step + 1) / (n_rise + 1)
        done = (step - n_rise) / max(1, n_steps - n_rise)
        return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2

    rates: list[Callable[[int], float]] = [partial(rate, begin=begin) for begin in first]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, rates)


def restore_layout(optimizer: torch.optim.Optimizer) -> None:
    """Give the moments the memory layout of their parameters; files hold them contiguous.

    A fused optimiser walks through memory, whatever the strides: it would update each weight of a
    channels_last convolution with the moments of another one.
    """
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter).copy_(value)
