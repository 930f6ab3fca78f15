"""Claims about one network on one fold: seeded, resumable, divided among workers, and it learns."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hierclf.config import load_config
from hierclf.data.demo import DEMO_HIERARCHY
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fold_table
from hierclf.training.folds import Fold
from hierclf.training.prepare import Prepared
from hierclf.training.replica import Replica, n_steps
from tests.fold_runs import (
    BANK,
    CACHE,
    CPU,
    FOLDS,
    PARENTS,
    assert_same_state,
    colours,
    config_of,
    run_of,
)

# --- the same again ----------------------------------------------------------------------------


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(features: np.ndarray | None) -> None:
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)  # what ran before plays no part
        run = run_of(features=features)
        torch.rand(noise)
        losses = [run.train_epoch(epoch) for epoch in (1, 2)]
        runs.append((run, losses))
    (first, first_losses), (second, second_losses) = runs
    assert first_losses == second_losses
    assert_same_state(first, second)


def test_another_seed_gives_other_weights_and_other_batches() -> None:
    first, second = run_of(), run_of(config_of(seed=1))
    weights = [run.net.state_dict()["heads.sub_head.weight"] for run in (first, second)]
    assert not torch.equal(weights[0], weights[1])
    orders = [np.concatenate(run._batches(1)) for run in (first, second)]
    assert not np.array_equal(orders[0], orders[1])


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
@pytest.mark.parametrize("clip_norm", [None, 0.5])
def test_training_goes_on_after_a_restart_as_if_never_stopped(
    tmp_path: Path, features: np.ndarray | None, clip_norm: float | None
) -> None:
    config = config_of(clip_norm=clip_norm)
    straight = run_of(config, features=features)
    for epoch in (1, 2):
        straight.train_epoch(epoch)
    stopped = run_of(config, features=features)
    stopped.train_epoch(1)
    stopped.save(tmp_path)
    resumed = run_of(config, features=features)
    resumed.load(tmp_path)
    assert_same_state(resumed, stopped)
    resumed.train_epoch(2)
    assert_same_state(resumed, straight)
    rates = [run.optimisation.optimizer.param_groups[0]["lr"] for run in (resumed, straight)]
    assert rates[0] == rates[1] == pytest.approx(1e-6)


def test_restored_moments_lie_in_memory_as_their_parameters_do(tmp_path: Path) -> None:
    # A fused optimiser walks through memory: other strides would pair weights with others' moments.
    run = run_of()
    run.train_epoch(1)
    run.save(tmp_path)
    run.load(tmp_path)
    strides = {parameter.stride() for parameter in run.net.parameters() if parameter.ndim == 4}
    assert any(stride[1] == 1 for stride in strides)  # some are channels_last
    for parameter, moments in run.optimisation.optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            assert moments[name].stride() == parameter.stride()


# --- batches and workers -----------------------------------------------------------------------


def test_an_epoch_shows_every_training_image_once_in_batches_of_nearly_equal_size() -> None:
    run = run_of()
    batches = run._batches(1)
    assert sorted(np.concatenate(batches)) == FOLDS["sub0"].train.tolist()
    sizes = {len(rows) for rows in batches}
    assert max(sizes) - min(sizes) <= 1
    assert abs(np.mean([len(rows) for rows in batches]) - 8) < 1


def test_every_epoch_has_an_order_of_its_own() -> None:
    run = run_of()
    orders = [np.concatenate(run._batches(epoch)) for epoch in (1, 2)]
    assert not np.array_equal(orders[0], orders[1])


def test_two_ranks_see_disjoint_halves_of_each_batch() -> None:
    whole = run_of()._batches(3)
    halves = [run_of(replica=Replica(rank, 2))._batches(3) for rank in (0, 1)]
    assert len(whole) == len(halves[0]) == len(halves[1])
    for batch, left, right in zip(whole, *halves, strict=True):
        assert not set(left) & set(right)
        assert sorted([*left, *right]) == sorted(batch)
        assert abs(len(left) - len(right)) <= 1


def test_ranks_start_from_the_same_weights() -> None:
    assert_same_state(run_of(replica=Replica(0, 2)), run_of(replica=Replica(1, 2)))


def test_labels_count_the_classes_that_the_fold_knows() -> None:
    run = run_of(fold="super0")
    fold = FOLDS["super0"]
    assert len(fold.known_super) < DEMO_HIERARCHY.n_super
    for rows in run._batches(1):
        for row, sup, sub in zip(rows, *run._labels(rows), strict=True):
            assert fold.known_super[int(sup)] == CACHE.super_labels[row]
            assert fold.known_sub[int(sub)] == CACHE.sub_labels[row]


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    run = run_of(config_of(batch_size=1000))
    assert [len(rows) for rows in run._batches(1)] == [len(FOLDS["sub0"].train)]


def test_a_wrapper_is_what_is_trained_and_the_network_itself_what_is_looked_at() -> None:
    wrapped: list[torch.nn.Module] = []

    def wrap(net: torch.nn.Module) -> torch.nn.Module:
        wrapped.append(torch.nn.Sequential(net))
        return wrapped[-1]

    run, plain = run_of(replica=Replica(wrap=wrap)), run_of()
    assert run.trained is wrapped[0]
    for each in (run, plain):
        each.train_epoch(1)
    assert_same_state(run, plain)


# --- what it learns ----------------------------------------------------------------------------


def test_a_compiled_network_trains_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as on any backend; only the minute of code generation is left out.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    plain, compiled = run_of(), run_of(config_of(compile=True))
    assert plain.train_epoch(1) == pytest.approx(compiled.train_epoch(1), rel=1e-4)
    assert isinstance(compiled.trained, torch._dynamo.OptimizedModule)
    for name, tensor in plain.net.state_dict().items():
        torch.testing.assert_close(compiled.net.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


class Syncs(TorchDispatchMode):
    """Counts operations whose result the host must wait for on a GPU: their value or their size."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.total += 1
        waits = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")
        boolean = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for group in args
            if isinstance(group, list | tuple)
            for index in group
        )
        if name.startswith(waits) or boolean:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_the_counter_of_waits_sees_one() -> None:
    with Syncs() as syncs:
        torch.ones(1).item()
        torch.ones(3)[torch.ones(3) > 0]
    assert len(syncs.found) == 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_norm": 1.0},
        {"loss": "focal", "consistency": 1.0, "contrastive": 1.0},
        {"loss": "soft_labels", "logit_norm": 0.1},
        {"loss": "hierarchical"},
        {"warmup": 0.5, "layer_decay": 0.5, "accumulate": 2, "sampling": "balanced"},
    ],
    ids=["plain", "clipped", "focal", "soft", "hierarchical", "rates"],
)
def test_no_step_waits_for_the_device(options: dict[str, Any]) -> None:
    run = run_of(config_of(**options))
    with Syncs() as once:
        run.train_epoch(1)
    assert once.total > 100 * run.steps
    # The losses are looked at once, after the last step.
    assert len(once.found) <= 2, once.found


def test_training_learns_the_colours() -> None:
    run = run_of(config_of(epochs=8, strength=0.0, lr=2e-3))
    losses = [run.train_epoch(epoch) for epoch in range(1, 9)]
    assert losses[-1] < 0.5 * losses[0]
    table = fold_table(run, ("msp",), {}).frame
    known = table[table["sub_known"]]
    assert len(known) > 15
    assert (known["sub_pred"] == known["sub_label"]).mean() > 0.8


def test_heads_learn_from_cached_features() -> None:
    # Every class has a direction of its own.
    bank = np.eye(len(PARENTS), dtype=np.float32)[CACHE.sub_labels][None].repeat(3, axis=0)
    run = run_of(config_of(epochs=4, lr=0.5), features=bank)
    losses = [run.train_epoch(epoch) for epoch in range(1, 5)]
    assert losses[-1] < 0.3 * losses[0]
    table = fold_table(run, ("msp",), {}).frame
    known = table[table["sub_known"]]
    assert (known["sub_pred"] == known["sub_label"]).all()


def test_fp16_without_cuda_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match="fp16 needs a CUDA device"):
        run_of(config_of(precision="fp16"))


@pytest.mark.slow
def test_the_papers_recipe_runs_at_full_size_in_mixed_precision() -> None:
    """ResNet-50, 224 px, autocast, the extra novel unit: two steps of paper.yaml on a CPU."""
    paper = load_config(
        Path(__file__).parents[2] / "configs" / "paper.yaml",
        ["model.weights=none", "train.precision=bf16", "train.batch_size=2", "train.epochs=1"],
    )
    cache = colours(per_class=1, size=64)
    known = np.flatnonzero(np.isin(cache.sub_labels, [0, 1, 2, 3]))
    fold = Fold(
        name="sub0",
        known_super=np.unique(PARENTS[:4]),
        known_sub=np.arange(4),
        train=known,
        val=known[:1],
        held_out=np.flatnonzero(cache.sub_labels == 5),
    )
    run = FoldRun(fold, Prepared(cache, {}, None, None), paper, CPU)
    assert run.steps == 2
    assert run.precision.dtype == torch.bfloat16
    seen: list[torch.dtype] = []
    run.net.backbone.layer4.register_forward_hook(  # type: ignore[union-attr]
        lambda module, given, out: seen.append(out.dtype)
    )
    before = {name: p.detach().clone() for name, p in run.net.named_parameters()}
    assert np.isfinite(run.train_epoch(1))
    assert seen == [torch.bfloat16] * 2
    for name, parameter in run.net.named_parameters():
        assert parameter.dtype == torch.float32
        assert not torch.equal(parameter, before[name]), name
    outputs = run.outputs(fold.val)
    assert outputs.features.shape == (1, 2048)
    assert outputs.super_logits.shape == (1, len(fold.known_super))
    assert outputs.sub_logits.shape == (1, 4)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [2, 3, 8, 64])
def test_no_process_ever_gets_a_batch_of_one_image(world: int, batch_size: int) -> None:
    for n_images in range(2 * world, 70):
        steps = n_steps(n_images, batch_size, world)
        batches = np.array_split(np.arange(n_images), steps)
        assert min(len(rows[rank::world]) for rows in batches for rank in range(world)) >= 2


@pytest.mark.parametrize(("n_images", "steps"), [(64, 8), (60, 8), (59, 7), (3, 1)])
def test_batches_have_about_the_size_that_is_asked_for(n_images: int, steps: int) -> None:
    assert n_steps(n_images, 8, 1) == steps
