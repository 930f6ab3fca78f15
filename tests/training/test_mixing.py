"""Claims about mixed images and labels."""

import pytest
import torch
from torch import Tensor, nn

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs
from hierclf.training.loop import train_step
from hierclf.training.losses import make_loss, make_tree
from hierclf.training.mixing import make_mix
from hierclf.training.optimisation import make_optimisation
from tests.fold_runs import config_of, run_of
from tests.two_heads import FP32, heads

IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def mixed(kind: str, seed: int = 0) -> tuple[Tensor, float]:
    mix = make_mix(TrainConfig(mix=kind, mix_alpha=1.0))  # type: ignore[arg-type]
    assert mix is not None
    torch.manual_seed(seed)
    return mix(IMAGES)


def test_mixup_is_a_weighted_sum_of_an_image_and_the_one_before_it() -> None:
    found, own = mixed("mixup")
    assert 0 < own < 1
    for i in range(5):
        torch.testing.assert_close(found[i], own * IMAGES[i] + (1 - own) * IMAGES[i - 1])


def test_cutmix_replaces_the_share_of_the_area_that_is_not_its_own() -> None:
    found, own = mixed("cutmix", seed=1)
    assert 0 < own < 1
    for i in range(5):
        mine = (found[i] == IMAGES[i]).all(0)
        assert bool(((found[i] == IMAGES[i - 1]).all(0) | mine).all())
        assert float(mine.float().mean()) == pytest.approx(own)


def test_both_draws_one_of_the_two_for_each_batch() -> None:
    pasted = set()
    for seed in range(12):
        found, _ = mixed("both", seed)
        untouched = (found[0] == IMAGES[0]) | (found[0] == IMAGES[-1])
        pasted.add(bool(untouched.all()))
    assert pasted == {True, False}


def test_both_labels_mix_as_the_images_do() -> None:
    """One step against a loss of mixed targets, written out."""
    own = 0.7
    supers, subs = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 1, 2, 3])
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    seen: list[Tensor] = []

    def mix(inputs: Tensor) -> tuple[Tensor, float]:
        return own * inputs + (1 - own) * inputs.roll(1, 0), own

    net = heads()
    net.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    config = TrainConfig(label_smoothing=0.1)
    tree = make_tree(torch.tensor([0, 1, 0, 1]))
    moving = make_optimisation(net, config, n_steps=1, device=torch.device("cpu"), precision=FP32)
    found = train_step(
        net,
        features,
        supers,
        subs,
        moving,
        loss=make_loss(config, tree),
        config=config,
        precision=FP32,
        mix=mix,
    )
    outputs: Outputs = heads()(seen[0])
    expected = 0.0
    for logits, labels in ((outputs.super_logits, supers), (outputs.sub_logits, subs)):
        hard = nn.functional.one_hot(labels, logits.shape[1]).float()
        targets = own * hard + (1 - own) * hard[[3, 0, 1, 2]]
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
        expected += float(loss.detach())
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["mixup", "cutmix", "both"])
def test_a_network_trains_on_mixed_batches_the_same_way_twice(kind: str) -> None:
    runs = [run_of(config_of(mix=kind, mix_alpha=1.0)) for _ in range(2)]
    losses = [run.train_epoch(1) for run in runs]
    assert losses[0] == losses[1]
    assert losses[0] != run_of().train_epoch(1)
