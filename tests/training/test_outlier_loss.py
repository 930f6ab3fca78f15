"""Claims about the losses on images of no known class, each against its formula in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hierclf.config import TrainConfig
from hierclf.nets.two_heads import Outputs
from hierclf.training.loop import train_step
from hierclf.training.losses import make_loss, make_tree
from hierclf.training.optimisation import make_optimisation
from hierclf.training.outlier_loss import OutlierBatch, make_outlier_loss
from tests.two_heads import FEATURES, FP32, SUB, SUPER, heads

PARENTS = [1, 0, 2, 1, 1, 0]
TREE = make_tree(torch.tensor(PARENTS))
NEW_SUPER = torch.tensor([1.0, 0.0, 1.0, 1.0])


def outputs(n_images: int, seed: int, *, extra: int = 0, scale: float = 1.0) -> Outputs:
    generator = torch.Generator().manual_seed(seed)
    sizes = (4, 3 + extra, 6 + extra)
    return Outputs(*(scale * torch.randn(n_images, size, generator=generator) for size in sizes))


def term(options: dict[str, Any], known: Outputs, others: Outputs, new_super: Tensor) -> Tensor:
    loss = make_outlier_loss(TrainConfig(**options), TREE)
    assert loss is not None
    return loss(known, others, new_super)


@pytest.mark.parametrize("extra", [0, 1])
def test_outlier_exposure_is_the_cross_entropy_to_equal_probabilities(extra: int) -> None:
    known, others = outputs(5, 0, extra=extra), outputs(4, 1, extra=extra)
    options = {"outlier": "uniform", "outlier_weight": 0.5, "sub_weight": 0.3}
    expected = 0.0
    for logits, n, counting, weight in (
        (others.super_logits, 3, [0, 2, 3], 1.0),  # the second has a known super-class
        (others.sub_logits, 6, [0, 1, 2, 3], 0.3),
    ):
        p = logits.double()[:, :n].softmax(1).tolist()
        entropies = [-sum(math.log(p[i][c]) / n for c in range(n)) for i in counting]
        expected += weight * float(np.mean(entropies))
    assert float(term(options, known, others, NEW_SUPER)) == pytest.approx(0.5 * expected, rel=1e-5)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_energy_loss_is_two_squared_hinges(extra: int) -> None:
    known, others = outputs(5, 0, extra=extra, scale=2.0), outputs(4, 1, extra=extra, scale=2.0)
    options = {"outlier": "energy", "outlier_weight": 0.2, "sub_weight": 0.3}
    options |= {"outlier_energy": -1.0, "outlier_gap": 1.0}

    def energies(logits: Tensor, n: int) -> list[float]:
        return [-math.log(sum(math.exp(v) for v in row[:n])) for row in logits.double().tolist()]

    expected = 0.0
    for level, n, counting, weight in (
        ("super_logits", 3, [0, 2, 3], 1.0),
        ("sub_logits", 6, [0, 1, 2, 3], 0.3),
    ):
        of_known = energies(getattr(known, level), n)
        of_none = [energies(getattr(others, level), n)[i] for i in counting]
        assert max(of_known) > -2.0
        assert min(of_none) < -1.0
        hinges = np.mean([max(0.0, e + 2.0) ** 2 for e in of_known])
        hinges += np.mean([max(0.0, -1.0 - e) ** 2 for e in of_none])
        expected += weight * float(hinges)
    assert float(term(options, known, others, NEW_SUPER)) == pytest.approx(0.2 * expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["energy", "uniform"])
def test_without_an_image_of_a_new_super_class_the_super_head_stays_alone(kind: str) -> None:
    known, others = outputs(5, 0), outputs(4, 1)
    for tensor in (known.super_logits, others.super_logits):
        tensor.requires_grad_()
    term({"outlier": kind}, known, others, torch.zeros(4)).backward()
    for tensor in (known.super_logits, others.super_logits):
        assert tensor.grad is None or not tensor.grad.any()


@pytest.mark.parametrize("kind", ["energy", "uniform"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_loss_and_gradients_are_finite_at_extreme_outputs(
    kind: str, scale: float, dtype: torch.dtype
) -> None:
    known, others = (
        Outputs(*(t.to(dtype).requires_grad_() for t in outputs(4, seed, scale=scale)))
        for seed in (0, 1)
    )
    loss = term({"outlier": kind}, known, others, NEW_SUPER)
    assert loss.dtype == torch.float32
    loss.backward()
    assert torch.isfinite(loss)
    for tensor in (*known, *others):
        assert tensor.grad is None or bool(torch.isfinite(tensor.grad).all())


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("kind", ["energy", "uniform"])
def test_a_step_adds_the_term_to_the_loss_of_the_known_images(kind: str, parts: int) -> None:
    net = heads()
    n_sub, n_super = int(SUB.max()) + 1, int(SUPER.max()) + 1
    tree = make_tree(torch.arange(n_sub) % n_super)
    config = TrainConfig(outlier=kind, accumulate=parts)  # type: ignore[arg-type]
    loss, added = make_loss(config, tree), make_outlier_loss(config, tree)
    assert added is not None
    n_known = len(FEATURES) // 2 * 2
    known = FEATURES[:n_known], SUPER[:n_known], SUB[:n_known]
    batch = OutlierBatch(FEATURES[:n_known].flip(0), torch.ones(n_known))
    with torch.no_grad():
        expected = loss(net(known[0]), *known[1:]) + added(
            net(known[0]), net(batch.inputs), batch.new_super
        )
    moving = make_optimisation(net, config, n_steps=1, device=torch.device("cpu"), precision=FP32)
    found = train_step(
        net,
        *known,
        moving,
        loss=loss,
        config=config,
        precision=FP32,
        outliers=batch,
        outlier_loss=added,
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_no_term_is_made_by_default() -> None:
    assert make_outlier_loss(TrainConfig(), TREE) is None
