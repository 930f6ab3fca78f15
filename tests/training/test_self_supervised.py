"""Claims about first epochs without labels: the formula, what they see, and that they resume."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hierclf.config import load_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.replica import Replica
from hierclf.training.self_supervised import nt_xent
from tests.fold_runs import CACHE, FOLDS, assert_same_state, config_of, run_of


def test_nt_xent_is_its_formula_image_by_image() -> None:
    views = torch.randn(10, 6, generator=torch.Generator().manual_seed(0))
    images = [0, 1, 2, 3, 4, 4, 2, 0, 1, 3]
    z = views.double().numpy()

    def similar(a: int, b: int) -> float:
        cosine = float(z[a] @ z[b] / np.linalg.norm(z[a]) / np.linalg.norm(z[b]))
        return math.exp(cosine / 0.3)

    losses = []
    for i, image in enumerate(images):
        j = next(k for k in range(10) if k != i and images[k] == image)
        losses.append(-math.log(similar(i, j) / sum(similar(i, k) for k in range(10) if k != i)))
    found = nt_xent(views, torch.tensor(images), temperature=0.3)
    assert float(found) == pytest.approx(float(np.mean(losses)), rel=1e-5)


def watched(run: FoldRun) -> list[np.ndarray]:
    """The rows of each batch that training reads, filled as it does."""
    seen: list[np.ndarray] = []
    assert run.first is not None
    inputs = run.first.inputs

    def train(batches: Any, generator: torch.Generator) -> Any:
        seen.extend(batches)
        return inputs.train(batches, generator)

    run.first.inputs = inputs._replace(train=train)
    return seen


@pytest.mark.parametrize("fold", ["sub0", "super0"])
def test_it_sees_two_views_of_each_training_image_and_no_other(fold: str) -> None:
    run = run_of(config_of(self_supervised=1, epochs=2), fold)
    seen = watched(run)
    run.train_epoch(1)
    rows = np.concatenate(seen)
    assert sorted(rows) == sorted([*FOLDS[fold].train, *FOLDS[fold].train])
    for batch in seen:
        np.testing.assert_array_equal(batch[::2], batch[1::2])
    hidden = set(CACHE.sub_labels[FOLDS[fold].held_out].tolist())
    assert hidden
    assert not hidden & set(CACHE.sub_labels[rows].tolist())


def test_the_views_of_an_image_differ_and_the_heads_stay_until_labels_come() -> None:
    run = run_of(config_of(self_supervised=1, epochs=2))
    before = {name: p.detach().clone() for name, p in run.net.named_parameters()}
    assert run.first is not None
    rows = run.fold.train[:4]
    views, images, _ = next(run.first._pairs([rows], torch.Generator().manual_seed(0)))
    assert images.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not torch.equal(views[0], views[1])
    run.train_epoch(1)
    changed = {
        name.partition(".")[0]
        for name, p in run.net.named_parameters()
        if not torch.equal(p.detach(), before[name])
    }
    assert changed == {"backbone"}
    run.train_epoch(2)
    assert not torch.equal(run.net.get_parameter("heads.sub_head.weight"),
                           before["heads.sub_head.weight"])  # fmt: skip


def test_views_of_an_image_come_together() -> None:
    run = run_of(config_of(self_supervised=8, epochs=9, batch_size=32, lr=2e-3))
    losses = [run.train_epoch(epoch) for epoch in range(1, 9)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("average", ["none", "ema", "snapshots"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_training_goes_on_after_a_restart_as_if_never_stopped(
    tmp_path: Path, stop: int, average: str
) -> None:
    config = config_of(self_supervised=2, epochs=4, average=average, head_epochs=1)
    straight, stopped, resumed = (run_of(config) for _ in range(3))
    for epoch in range(1, 5):
        straight.train_epoch(epoch)
    for epoch in range(1, stop + 1):
        stopped.train_epoch(epoch)
    stopped.save(tmp_path)
    resumed.load(tmp_path)
    for epoch in range(stop + 1, 5):
        resumed.train_epoch(epoch)
    assert_same_state(resumed, straight)
    for a, b in zip(resumed.evaluated.parameters(), straight.evaluated.parameters(), strict=True):
        assert torch.equal(a, b)


def test_labels_have_the_other_epochs_and_a_learning_rate_of_their_own() -> None:
    run = run_of(config_of(self_supervised=2, epochs=5, lr=0.01))
    rates = []
    for epoch in range(1, 6):
        assert run.first is not None
        rates.append([o.optimizer.param_groups[0]["lr"]
                      for o in (run.first.optimisation, run.optimisation)])  # fmt: skip
        run.train_epoch(epoch)
    assert rates[0] == [0.01, 0.01]
    assert rates[2] == [pytest.approx(1e-6), 0.01]
    assert run.optimisation.optimizer.param_groups[0]["lr"] == pytest.approx(1e-6)


def test_two_ranks_see_disjoint_halves_of_each_batch() -> None:
    seen = []
    config = config_of(self_supervised=1, epochs=2)
    for replica in (Replica(), Replica(0, 2), Replica(1, 2)):
        run = run_of(config, replica=replica)
        seen.append(watched(run))
        run.train_epoch(1)
    for whole, left, right in zip(*seen, strict=True):
        assert sorted([*left, *right]) == sorted(whole)


def test_without_the_switch_nothing_changes() -> None:
    assert run_of().first is None
    assert "self_supervised" not in run_of()._state()


def test_what_cannot_be_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"train.self_supervised needs model.freeze=none"):
        load_config("cpu", ["train.self_supervised=1"])
    with pytest.raises(ValueError, match=r"must be below train.epochs, but got 2 \+ 1 and 3$"):
        load_config(None, ["train.self_supervised=2", "train.head_epochs=1", "train.epochs=3"])
    with pytest.raises(ValueError, match=r"data.stream=true needs train.self_supervised=0"):
        load_config(None, ["train.self_supervised=1", "data.stream=true"])
