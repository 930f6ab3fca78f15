"""Claims about first epochs without labels: the formula, what they see, and that they resume."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hierclf.config import Config, load_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import Prepared, prepare
from hierclf.training.reopen import files_of, reopen
from hierclf.training.replica import ALONE, Replica
from hierclf.training.self_supervised import nt_xent
from hierclf.training.unlabelled import UnlabelledImages, check_unlabelled
from tests.fold_runs import CACHE, CPU, FOLDS, assert_same_state, config_of, run_of


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
    views, images, _ = next(run.first._pairs([rows], [], torch.Generator().manual_seed(0)))
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


def with_others(config: Config, rows: np.ndarray, replica: Replica = ALONE) -> FoldRun:
    """A run that sees rows of the inverted images, too, without labels."""
    inverted = replace(CACHE, images=255 - np.asarray(CACHE.images))
    prepared = Prepared(CACHE, FOLDS, None, None, None, UnlabelledImages(inverted, rows))
    return FoldRun(FOLDS["sub0"], prepared, config, CPU, replica=replica)


def test_images_without_labels_come_beside_the_others_and_resume(tmp_path: Path) -> None:
    config, rows = config_of(self_supervised=2, epochs=3), np.arange(5, 12)
    straight, stopped, resumed = (with_others(config, rows) for _ in range(3))
    assert straight.first is not None
    assert straight.first.others is not None
    seen: list[np.ndarray] = []
    inputs = straight.first.others[1]

    def train(batches: Any, generator: torch.Generator) -> Any:
        seen.extend(batches)
        return inputs.train(batches, generator)

    straight.first.others = rows, inputs._replace(train=train)
    for epoch in (1, 2, 3):
        straight.train_epoch(epoch)
    assert len(seen) == 2 * straight.steps
    assert set(np.concatenate(seen).tolist()) == set(rows.tolist())
    assert all(len(batch) == 2 * len(rows) for batch in seen)  # fewer than a batch holds
    stopped.train_epoch(1)
    stopped.save(tmp_path)
    resumed.load(tmp_path)
    for epoch in (2, 3):
        resumed.train_epoch(epoch)
    assert_same_state(resumed, straight)


def picture(path: Path, rng: np.random.Generator) -> None:
    coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize((24, 24), Image.Resampling.BICUBIC).save(path)


def test_images_without_labels_are_prepared_without_copies_of_labelled_ones(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    for name in ("bird/a", "bird/b", "cat/c", "cat/d"):
        for i in range(4):
            picture(tmp_path / "data" / name / f"{i}.png", rng)
    picture(tmp_path / "more" / "x.png", rng)
    (tmp_path / "more" / "y.png").write_bytes((tmp_path / "data/bird/a/0.png").read_bytes())
    options = ["model.backbone=smallnet", "model.weights=none", "train.self_supervised=1"]
    options += [f"data.path={tmp_path / 'data'}", f"data.unlabelled={tmp_path / 'more'}"]
    config = load_config(None, [*options, "train.epochs=2", "model.image_size=16"])
    with pytest.warns(UserWarning, match=r"^1 image is a near-copy of labelled ones .*y.png\)$"):
        prepared = prepare(config, directory=tmp_path / "cache", device=CPU)
    again = reopen(files_of([(config, prepared)]), config)
    assert again is not None
    for each in (prepared, again):
        assert each.unlabelled is not None
        names = each.unlabelled.cache.names
        assert [names[row] for row in each.unlabelled.rows] == ["x.png"]
    runs = [FoldRun(each.folds["sub0"], each, config, CPU) for each in (prepared, again)]
    for run in runs:
        run.train_epoch(1)
    assert_same_state(*runs)
    (tmp_path / "more" / "x.png").unlink()
    with pytest.raises(ValueError, match=r"must hold other images than the data, but all are"):
        prepare(config, directory=tmp_path / "cache", device=CPU)


def test_images_without_labels_that_nothing_would_see_are_refused() -> None:
    config = load_config(None, ["data.unlabelled=somewhere"])
    with pytest.raises(ValueError, match=r"^data.unlabelled only trains in the first epochs of"):
        check_unlabelled(config)


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
