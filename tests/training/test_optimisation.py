"""Claims about learning rates by step and layer, and about the parts of a batch."""

import math
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hierclf.config import TrainConfig, load_config
from hierclf.nets.backbones import build_backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.training.loop import train_step
from hierclf.training.losses import two_head_loss
from hierclf.training.optimisation import Optimisation, backbone_layers, make_optimisation
from tests.fold_runs import BANK, assert_same_state, config_of, run_of
from tests.two_heads import FEATURES, FP32, SUB, SUPER, heads

CPU = torch.device("cpu")
LOSS = partial(two_head_loss, sub_weight=1.0)


def rates_of(net: nn.Module, config: TrainConfig, *, n_steps: int, head_steps: int = 0) -> Any:
    """The rates of each group before every step and after the last, float64 [steps + 1, groups]."""
    moving = make_optimisation(
        net, config, n_steps=n_steps, device=CPU, precision=FP32, head_steps=head_steps
    )
    return np.array(list(_walk(moving, n_steps)))


def _walk(moving: Optimisation, n_steps: int) -> Any:
    for _ in range(n_steps):
        yield [group["lr"] for group in moving.optimizer.param_groups]
        moving.optimizer.step()
        moving.schedule.step()
    yield [group["lr"] for group in moving.optimizer.param_groups]


def network() -> TwoHeadNet:
    return TwoHeadNet(build_backbone("smallnet", "none"), TwoHeads(128, 2, 4))


def test_the_rate_rises_in_a_line_and_falls_along_a_cosine() -> None:
    rates = rates_of(heads(), TrainConfig(lr=0.02, warmup=0.25), n_steps=12)[:, 0]
    cosine = [1e-6 + (0.02 - 1e-6) * (1 + math.cos(math.pi * i / 9)) / 2 for i in range(10)]
    np.testing.assert_allclose(rates, [0.005, 0.01, 0.015, *cosine], rtol=1e-9)


def test_the_schedule_of_layers_is_that_of_one_group() -> None:
    plain = rates_of(heads(), TrainConfig(lr=0.02), n_steps=9)[:, 0]
    found = rates_of(network(), TrainConfig(lr=0.02, layer_decay=0.5), n_steps=9)
    np.testing.assert_allclose(found[:, 0], plain, rtol=1e-9)
    np.testing.assert_allclose(found, found[:, :1] * 0.5 ** np.arange(8), rtol=1e-12)


def test_the_layers_of_a_small_network_are_its_blocks() -> None:
    net = build_backbone("smallnet", "none").module
    layers = backbone_layers(net)
    blocks = [block for block in net.children() if list(block.parameters())]
    expected = [[id(p) for p in block.parameters()] for block in blocks]
    assert [[id(p) for p in layer] for layer in layers] == expected


@pytest.mark.parametrize(
    ("name", "n_layers", "first", "last"),
    [
        ("resnet18", 9, ["conv1.weight", "bn1.weight", "bn1.bias"], "layer4.1.bn2.bias"),
        (
            "vit_tiny_patch16_224",
            13,
            ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"],
            "norm.bias",
        ),
    ],
)
def test_the_layers_of_known_networks(
    name: str, n_layers: int, first: list[str], last: str
) -> None:
    net = build_backbone(name, "none").module
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    layers = [[names[id(p)] for p in layer] for layer in backbone_layers(net)]
    assert len(layers) == n_layers
    assert layers[0] == first
    assert layers[-1][-1] == last
    assert sorted(chain(*layers)) == sorted(names.values())


def test_the_first_epochs_train_the_heads_and_leave_the_backbone_as_it_is() -> None:
    run = run_of(config_of(head_epochs=1, warmup=0.5))
    before = {name: tensor.clone() for name, tensor in run.net.state_dict().items()}
    for epoch in (1, 2):
        run.train_epoch(epoch)
        for name, tensor in run.net.state_dict().items():
            same = torch.equal(tensor, before[name])
            if name.startswith("heads."):
                assert not same, name
            elif epoch == 1:
                assert same, name  # the statistics of BatchNorm, too
    assert not torch.equal(
        run.net.get_parameter("backbone.0.0.weight"), before["backbone.0.0.weight"]
    )


@pytest.mark.parametrize(
    "options",
    [
        {"warmup": 0.3, "layer_decay": 0.7, "head_epochs": 1},
        {"accumulate": 2, "mix": "both", "sampling": "balanced"},
        {"sampling": "hard", "average": "ema"},
    ],
    ids=["rates", "batches", "hard"],
)
def test_training_goes_on_after_a_restart_bit_by_bit(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    straight, stopped, resumed = (run_of(config_of(**options)) for _ in range(3))
    straight.train_epoch(1)
    straight.train_epoch(2)
    stopped.train_epoch(1)
    stopped.save(tmp_path)
    resumed.load(tmp_path)
    resumed.train_epoch(2)
    assert_same_state(resumed, straight)


@pytest.mark.parametrize("parts", [2, 3, 100])
def test_a_batch_in_parts_gives_the_step_of_the_whole(parts: int) -> None:
    ends, losses = [], []
    for config in (TrainConfig(lr=0.01), TrainConfig(lr=0.01, accumulate=parts)):
        net = heads()
        moving = make_optimisation(net, config, n_steps=4, device=CPU, precision=FP32)
        for rows in (slice(0, 23), slice(3, 24)):
            step = FEATURES[rows], SUPER[rows], SUB[rows]
            loss = train_step(net, *step, moving, loss=LOSS, config=config, precision=FP32)
            losses.append(float(loss))
        ends.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert losses[:2] == pytest.approx(losses[2:])
    torch.testing.assert_close(ends[0], ends[1])


def test_no_part_has_one_image() -> None:
    sizes: list[int] = []
    run = run_of(config_of(accumulate=5))
    run.net.register_forward_hook(lambda module, given, out: sizes.append(len(given[0])))
    run.train_epoch(1)
    assert sum(sizes) == len(run.fold.train)
    assert min(sizes) >= 2
    assert len(sizes) > 2 * run.steps


def test_parts_and_rates_serve_heads_on_features() -> None:
    run = run_of(config_of(accumulate=2, warmup=0.2, sampling="balanced"), features=BANK)
    assert np.isfinite(run.train_epoch(1))


@pytest.mark.parametrize(
    "override", ["train.layer_decay=0.5", "train.head_epochs=2", "train.mix=mixup"]
)
def test_what_trains_a_backbone_is_refused_with_a_frozen_one(override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(ValueError, match=rf"{key} needs model\.freeze=none .* got {override}$"):
        load_config("cpu", [override])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.warmup=1"], "less than 1"),
        (["train.layer_decay=0"], "greater than 0"),
        (["train.accumulate=0"], "greater than or equal to 1"),
        (["train.head_epochs=15"], "head_epochs must be below train.epochs, but got 15 and 15"),
        (["train.mix=cutout"], "'none', 'mixup', 'cutmix' or 'both'"),
        (["train.sampling=balanced", "data.stream=true"], "needs train.sampling=shuffle"),
        (["train.hardness=1"], "greater than 1"),
    ],
)
def test_a_wrong_value_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        load_config("demo", overrides)
    assert "\n" not in str(caught.value)
