"""Claims about one training step and one epoch, against torch's own functions called by hand."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hierclf.config import TrainConfig
from hierclf.training.loop import NonFiniteLossError, train_epoch, train_step
from hierclf.training.losses import two_head_loss
from hierclf.training.optimisation import (
    Optimisation,
    Precision,
    make_optimisation,
    pick_precision,
)
from tests.two_heads import (
    FEATURES,
    FP32,
    ROWS,
    SUB,
    SUPER,
    evaluate,
    heads,
)

CPU = torch.device("cpu")
LOSS = partial(two_head_loss, sub_weight=1.0)


def optimisation(net: nn.Module, config: TrainConfig, n_steps: int = 10) -> Optimisation:
    return make_optimisation(net, config, n_steps=n_steps, device=CPU, precision=FP32)


def step(
    net: nn.Module,
    config: TrainConfig,
    moving: Optimisation,
    precision: Precision = FP32,
) -> Tensor:
    return train_step(
        net, FEATURES, SUPER, SUB, moving, loss=LOSS, config=config, precision=precision
    )


def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for rows in np.array_split(ROWS, 3):
        yield FEATURES[rows], SUPER[rows], SUB[rows]


def epoch(net: nn.Module, config: TrainConfig) -> float:
    moving = optimisation(net, config)
    return train_epoch(net, batches(), moving, loss=LOSS, config=config, precision=FP32)


def weights(net: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# --- one step ----------------------------------------------------------------------------------


def test_a_step_is_adamws_first_step() -> None:
    config = TrainConfig(lr=0.01, weight_decay=0.1)
    net = heads()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    loss = step(net, config, optimisation(net, config))
    reference = heads()
    expected_loss = two_head_loss(reference(FEATURES), SUPER, SUB, sub_weight=1.0)
    expected_loss.backward()
    torch.testing.assert_close(loss, expected_loss.detach())
    assert not loss.requires_grad
    gradients = {name: p.grad for name, p in reference.named_parameters()}
    for name, parameter in net.named_parameters():
        # Loshchilov & Hutter 2019: the first step of Adam is lr * sign(g), up to epsilon, and
        # decay is lr * wd * w.
        gradient = gradients[name]
        assert gradient is not None
        moved = before[name] * (1 - 0.01 * 0.1) - 0.01 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(parameter.detach(), moved)


def test_the_learning_rate_follows_a_cosine_to_1e_6() -> None:
    config = TrainConfig(lr=0.02)
    net = heads()
    moving = optimisation(net, config, n_steps=8)
    rates = [moving.optimizer.param_groups[0]["lr"]]
    for _ in range(8):
        step(net, config, moving)
        rates.append(moving.optimizer.param_groups[0]["lr"])
    expected = [1e-6 + (0.02 - 1e-6) * (1 + math.cos(math.pi * i / 8)) / 2 for i in range(9)]
    np.testing.assert_allclose(rates, expected, rtol=1e-9)
    assert rates[-1] == pytest.approx(1e-6)


def test_a_learning_rate_below_the_final_one_stays_as_it_is() -> None:
    config = TrainConfig(lr=1e-7)
    net = heads()
    moving = optimisation(net, config, n_steps=3)
    for _ in range(3):
        step(net, config, moving)
        assert moving.optimizer.param_groups[0]["lr"] == 1e-7


def test_parameters_that_are_not_trained_stay_out_of_the_optimiser() -> None:
    net = heads()
    net.super_head.weight.requires_grad_(False)
    moving = optimisation(net, TrainConfig())
    assert len(moving.optimizer.param_groups[0]["params"]) == 3


def test_gradients_are_clipped_to_the_norm_that_was_set() -> None:
    norms: list[float] = []
    for clip in (None, 0.05, 1e6):
        config = TrainConfig(lr=0.1, clip_norm=clip)
        net = heads()
        step(net, config, optimisation(net, config))
        gradients = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
    free, clipped, loose = norms
    assert free == loose
    assert free > 0.05
    assert clipped == pytest.approx(0.05, rel=1e-3)


def test_clipping_changes_where_the_second_step_leads() -> None:
    # Adam's first step hardly depends on the gradient's length; the second, of another gradient,
    # does.
    ends = []
    for clip in (None, 0.05):
        config = TrainConfig(lr=0.1, weight_decay=0, clip_norm=clip)
        net = heads()
        moving = optimisation(net, config)
        for scale in (1.0, 30.0):
            train_step(
                net, scale * FEATURES, SUPER, SUB, moving, loss=LOSS, config=config, precision=FP32
            )
        ends.append(weights(net))
    assert (ends[0] - ends[1]).abs().max() > 1e-3


# --- precision ---------------------------------------------------------------------------------


def test_bf16_on_a_cpu_computes_the_heads_in_bf16_and_keeps_float32_weights() -> None:
    seen: list[torch.dtype] = []
    net = heads()
    net.super_head.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    precision = pick_precision("bf16", CPU)
    assert precision == Precision(torch.bfloat16, scaled=False)
    config = TrainConfig(lr=0.01)
    moving = make_optimisation(net, config, n_steps=1, device=CPU, precision=precision)
    before = weights(net)
    loss = step(net, config, moving, precision)
    assert seen == [torch.bfloat16]
    assert loss.dtype == torch.float32
    assert weights(net).dtype == torch.float32
    assert not torch.equal(weights(net), before)
    plain = heads()
    expected = step(plain, config, optimisation(plain, config))
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0)


def test_fp16_is_refused_without_cuda() -> None:
    with pytest.raises(ValueError, match=r"^train.precision=fp16 needs a CUDA device, .* got cpu$"):
        pick_precision("fp16", CPU)


def test_fp16_on_a_gpu_scales_the_loss() -> None:
    assert pick_precision("fp16", torch.device("cuda")) == Precision(torch.float16, scaled=True)


@pytest.mark.parametrize(
    ("native", "dtype"), [(True, torch.bfloat16), (False, None)], ids=["native", "emulated"]
)
def test_auto_takes_bf16_on_a_cpu_only_where_it_is_native(
    native: bool, dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "torch.cpu.get_capabilities", lambda: {"avx512_bf16": native}, raising=False
    )
    assert pick_precision("auto", CPU) == Precision(dtype, scaled=False)


@pytest.mark.parametrize(
    ("native", "expected"),
    [(True, Precision(torch.bfloat16, False)), (False, Precision(torch.float16, True))],
    ids=["native", "older"],
)
def test_auto_takes_fp16_on_a_gpu_without_native_bf16(
    native: bool, expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(*, including_emulation: bool) -> bool:
        return native or including_emulation

    monkeypatch.setattr("torch.cuda.is_bf16_supported", supported)
    assert pick_precision("auto", torch.device("cuda")) == expected


# --- one epoch ---------------------------------------------------------------------------------


def test_an_epoch_is_its_steps_and_returns_their_mean_loss() -> None:
    config = TrainConfig(lr=0.05)
    net, reference = heads(), heads()
    loss = epoch(net, config)
    moving = optimisation(reference, config)
    losses = [
        train_step(reference, *batch, moving, loss=LOSS, config=config, precision=FP32)
        for batch in batches()
    ]
    assert loss == pytest.approx(float(torch.stack(losses).mean()))
    assert torch.equal(weights(net), weights(reference))


def test_an_epoch_trains_in_training_mode_and_evaluation_runs_in_eval_mode() -> None:
    modes: list[bool] = []
    net = heads()
    net.register_forward_hook(lambda module, given, out: modes.append(module.training))
    net.eval()
    epoch(net, TrainConfig())
    assert modes == [True] * 3
    evaluate(net)
    assert set(modes[3:]) == {False}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_step(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    features = FEATURES.clone()
    features[8] = bad  # in the second batch
    monkeypatch.setitem(globals(), "FEATURES", features)
    with pytest.raises(NonFiniteLossError, match=r"at step 2 of 3; lower lr \(now 0.0001\)"):
        epoch(heads(), TrainConfig())


# --- evaluation --------------------------------------------------------------------------------
