"""Claims about which images an epoch draws, and how often."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hierclf.training.fold_run import FoldRun
from hierclf.training.loop import NonFiniteLossError
from hierclf.training.replica import Replica
from hierclf.training.samplers import balanced, by_loss
from tests.fold_runs import BANK, CACHE, config_of, run_of


def losses_by_hand(run: FoldRun, sub_weight: float) -> np.ndarray:
    rows, losses = run.fold.train, []
    outputs = run.outputs(rows)
    for i, row in enumerate(rows):
        total = 0.0
        for logits, known, label, weight in (
            (outputs.super_logits[i], run.fold.known_super, CACHE.super_labels[row], 1.0),
            (outputs.sub_logits[i], run.fold.known_sub, CACHE.sub_labels[row], sub_weight),
        ):
            exact = np.exp(logits.astype(float))
            total -= weight * np.log(exact[known.tolist().index(label)] / exact.sum())
        losses.append(total)
    return np.array(losses)


def test_balanced_sampling_draws_every_class_equally_often() -> None:
    labels = np.repeat([3, 7, 8], [5, 80, 15])
    rows = np.arange(1000, 1100)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([balanced(rows, labels, rng) for _ in range(100)])
    assert len(drawn) == 100 * 100
    counts = np.array([np.isin(drawn, rows[labels == c]).sum() for c in (3, 7, 8)])
    # Of a binomial of 10,000 draws and chance 1/3, the standard deviation is 47.
    np.testing.assert_allclose(counts, 10_000 / 3, atol=5 * 47)
    alike = np.bincount(drawn[np.isin(drawn, rows[:5])] - 1000)
    assert alike.min() > 0.8 * alike.max()  # within a class, images are alike, too


def test_workers_divide_the_same_balanced_batches() -> None:
    config = config_of(sampling="balanced")
    whole = run_of(config)._batches(3)
    halves = [run_of(config, replica=Replica(rank, 2))._batches(3) for rank in (0, 1)]
    for batch, left, right in zip(whole, *halves, strict=True):
        assert sorted([*left, *right]) == sorted(batch)
        assert set(CACHE.sub_labels[batch]) <= set(range(16))


def test_chances_by_loss_are_a_geometric_series_of_ranks() -> None:
    losses = np.array([3.0, -1.0, 7.0, 0.5], np.float32)
    rows = np.array([10, 11, 12, 13])
    rng = np.random.default_rng(0)
    drawn = np.concatenate([by_loss(rows, losses, rng, hardness=8.0) for _ in range(5000)])
    counts = np.array([(drawn == row).sum() for row in rows])
    expected = np.array([4, 1, 8, 2]) / 15  # ranks 2, 0, 3, 1; 8 = 2 ** 3
    np.testing.assert_allclose(counts / len(drawn), expected, atol=0.015)


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
def test_hard_images_are_those_of_the_network_as_it_is(features: np.ndarray | None) -> None:
    config = config_of(sampling="hard", hardness=1e6, sub_weight=0.5, epochs=3)
    run = run_of(config, features=features)
    assert sorted(np.concatenate(run._batches(1))) == run.fold.train.tolist()  # as without
    run.train_epoch(1)
    expected = losses_by_hand(run, 0.5)
    np.testing.assert_allclose(run._losses(), expected, rtol=1e-4, atol=1e-5)
    of_row = dict(zip(run.fold.train.tolist(), expected.tolist(), strict=True))
    drawn = np.concatenate(run._batches(2))
    assert len(drawn) == len(run.fold.train)
    assert np.mean([of_row[row] for row in drawn]) > np.quantile(expected, 0.7)


def test_a_curriculum_begins_with_easy_images_and_ends_with_all_alike() -> None:
    run = run_of(config_of(sampling="curriculum", hardness=1e6, epochs=9))
    run.train_epoch(1)
    losses = dict(zip(run.fold.train.tolist(), run._losses().tolist(), strict=True))
    ranks = dict(
        zip(sorted(losses, key=losses.__getitem__), np.linspace(0, 1, len(losses)), strict=True)
    )
    means = [np.mean([ranks[row] for row in np.concatenate(run._batches(e))]) for e in (2, 9)]
    assert means[0] < 0.2
    assert means[1] == pytest.approx(0.5, abs=0.15)


def test_a_schedule_of_one_epoch_can_be_timed_by_two() -> None:
    run = run_of(config_of(sampling="curriculum", epochs=1), features=BANK)
    assert all(np.isfinite(run.train_epoch(epoch)) for epoch in (1, 2))


@pytest.mark.parametrize("sampling", ["hard", "curriculum"])
def test_a_broken_network_chooses_no_images(sampling: str) -> None:
    run = run_of(config_of(sampling=sampling), features=BANK)
    for parameter in run.net.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(NonFiniteLossError, match="losses that choose images must be finite"):
        run.train_epoch(2)


PROGRAM = """
import sys
import numpy as np, torch
from torch.nn.parallel import DistributedDataParallel
from hierclf.training.replica import Replica
from tests.fold_runs import config_of, run_of

rank, store = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
config = config_of(sampling="hard", layer_decay=0.5, head_epochs=1, average="ema",
                   accumulate=2, consistency=0.1, contrastive=0.1, loss="focal", epochs=4,
                   self_supervised=1)
run = run_of(config, replica=Replica(rank, 2, DistributedDataParallel))
for epoch in (1, 2, 3, 4):
    run.train_epoch(epoch)
weights = torch.cat([p.detach().flatten() for p in run.net.parameters()])
average = torch.cat([p.detach().flatten() for p in run.evaluated.parameters()])
rows = np.concatenate(run._batches(3))
np.savez(f"{store}-{rank}.npz", weights=weights.numpy(), average=average.numpy(), rows=rows)
"""


@pytest.mark.slow
def test_two_workers_keep_one_network_with_all_of_it_at_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    workers = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(rank), str(store)]) for rank in (0, 1)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    left, right = (np.load(f"{store}-{rank}.npz") for rank in (0, 1))
    np.testing.assert_array_equal(left["weights"], right["weights"])
    np.testing.assert_array_equal(left["average"], right["average"])
    assert len(left["rows"]) + len(right["rows"]) == len(run_of().fold.train)
