"""Claims about averages of weights and of seeds, against means taken by hand."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hierclf.config import Config, load_config, parse_config
from hierclf.nets.two_heads import TwoHeads
from hierclf.scores import ScoreInputs
from hierclf.training.averages import mean_heads, with_seed
from hierclf.training.fold_run import FoldRun
from hierclf.training.trained_bundle import bundle_from_run
from tests.fold_runs import BANK, CACHE, assert_same_state, config_of, run_of

State = dict[str, Tensor]
BOTH = pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])


def state(net: torch.nn.Module) -> State:
    return copy.deepcopy(net.state_dict())


def assert_close(found: State, expected: State) -> None:
    assert list(found) == list(expected)
    for name, tensor in found.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, expected[name], msg=name)


def mean_of(states: list[State]) -> State:
    return {
        name: torch.stack([each[name].double() for each in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }


def heads_config(**train: Any) -> Config:
    """Of heads on features that are drawn: the file of weights is not opened."""
    model = {"backbone": "smallnet", "weights": "some.safetensors", "freeze": "backbone"}
    own = {"epochs": 2, "batch_size": 8, "lr": 5e-3, "precision": "fp32"} | train
    return parse_config({"model": model, "train": own})


@BOTH
def test_an_ema_follows_every_step(features: np.ndarray | None) -> None:
    run = run_of(config_of(average="ema", ema_decay=0.7), features=features)
    expected: list[State] = []

    def follow(optimizer: Any, args: Any, kwargs: Any) -> None:
        now = state(run.net)
        before = expected[-1] if expected else now
        expected.append({k: 0.7 * before[k] + 0.3 * now[k] for k in now})

    run.optimisation.optimizer.register_step_post_hook(follow)
    run.train_epoch(1)
    assert len(expected) == run.steps
    assert_close(run.evaluated.state_dict(), expected[-1])


@BOTH
def test_snapshots_are_the_mean_of_the_last_epochs(features: np.ndarray | None) -> None:
    run = run_of(config_of(average="snapshots", snapshots=2, epochs=4), features=features)
    ends = []
    for epoch in range(1, 5):
        run.train_epoch(epoch)
        ends.append(state(run.net))
        if epoch <= 2:
            assert run.evaluated is run.net
    assert_close(run.evaluated.state_dict(), mean_of(ends[2:]))


@pytest.mark.parametrize(
    ("options", "features"),
    [
        ({"average": "ema"}, None),
        ({"average": "snapshots"}, None),
        ({"average": "ema"}, BANK),
        ({"average": "snapshots"}, BANK),
        ({"seeds": 2}, BANK),
    ],
    ids=["ema-images", "snapshots-images", "ema-features", "snapshots-features", "seeds-features"],
)
def test_an_average_is_evaluated_and_leaves_training_as_it_is(
    options: dict[str, Any], features: np.ndarray | None
) -> None:
    make = heads_config if features is not None else config_of
    plain, run = (run_of(make(**each), features=features) for each in ({}, options))
    for each in (plain, run):
        for epoch in (1, 2):
            each.train_epoch(epoch)
    assert_same_state(plain, run)
    rows = np.arange(10)
    found, other = run.outputs(rows), plain.outputs(rows)
    assert not np.array_equal(found.sub_logits, other.sub_logits)
    if features is None:
        net = bundle_from_run(run, {}).net
        assert_close(net.state_dict(), run.evaluated.state_dict())


@BOTH
@pytest.mark.parametrize("average", ["none", "ema", "snapshots"])
def test_training_with_averages_goes_on_after_a_restart_bit_by_bit(
    tmp_path: Path, average: str, features: np.ndarray | None
) -> None:
    options: dict[str, Any] = {"average": average, "epochs": 3}
    config = config_of(**options) if features is None else heads_config(seeds=2, **options)

    def outputs(run: FoldRun) -> ScoreInputs:
        return run.outputs(np.arange(len(CACHE.names)))

    straight, stopped, resumed = (run_of(config, features=features) for _ in range(3))
    for epoch in (1, 2, 3):
        straight.train_epoch(epoch)
        if epoch < 3:
            stopped.train_epoch(epoch)
    stopped.save(tmp_path)
    resumed.load(tmp_path)
    resumed.train_epoch(3)
    for found, expected in zip(outputs(resumed)[:3], outputs(straight)[:3], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_heads_of_several_seeds_are_those_of_each_seed_and_their_logits_the_mean() -> None:
    config = heads_config(seeds=3, average="ema")
    run = run_of(config, features=BANK)
    alone = [heads_config(average="ema"), with_seed(config, 1), with_seed(config, 2)]
    runs = [run_of(each, features=BANK) for each in alone]
    assert len({each.seed for each in alone}) == 3
    loss = run.train_epoch(1)
    assert loss == pytest.approx(np.mean([each.train_epoch(1) for each in runs]))
    rows = np.arange(12)
    each = [one.outputs(rows) for one in runs]
    found = run.outputs(rows)
    for level in ("super_logits", "sub_logits"):
        expected = np.mean([getattr(one, level) for one in each], axis=0)
        np.testing.assert_allclose(getattr(found, level), expected, atol=1e-6)


def test_the_mean_of_heads_leaves_them_as_they_are() -> None:
    heads = [TwoHeads(3, 2, 4) for _ in range(3)]
    before = [state(each) for each in heads]
    mean = mean_heads(heads)
    assert_close(mean.state_dict(), mean_of(before))
    for each, was in zip(heads, before, strict=True):
        assert_close(each.state_dict(), was)
    assert mean_heads(heads[:1]) is heads[0]


def test_several_seeds_of_whole_networks_are_refused() -> None:
    wanted = r"train\.seeds above 1 needs model\.freeze=backbone .*but got train\.seeds=3$"
    with pytest.raises(ValueError, match=wanted):
        load_config("demo", ["train.seeds=3"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.average=swa", "'none', 'ema' or 'snapshots'"),
        ("train.ema_decay=1", "less than 1"),
        ("train.snapshots=0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_one_line(override: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        load_config(None, [override])
    assert "\n" not in str(caught.value)
