"""Claims about the losses, each against its formula in float64 with loops over images."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from hierclf.config import TrainConfig, load_config
from hierclf.nets.two_heads import Outputs
from hierclf.training.losses import (
    consistency_loss,
    contrastive_loss,
    log_sum_by_super,
    logit_norm,
    make_loss,
    make_tree,
    two_head_loss,
)
from tests.fold_runs import BANK, config_of, run_of

PARENTS = [1, 0, 2, 1, 1, 0]
N_SUB, N_SUPER = len(PARENTS), 3
TREE = make_tree(torch.tensor(PARENTS))
SUB_LABELS = [0, 5, 2, 3, 3, 1, 0]
SUPER_LABELS = [PARENTS[sub] for sub in SUB_LABELS]
LABELS = torch.tensor(SUPER_LABELS), torch.tensor(SUB_LABELS)
EVERY: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.2},
    {"loss": "focal"},
    {"loss": "focal", "focal_gamma": 0.5},
    {"loss": "hierarchical", "label_smoothing": 0.1},
    {"loss": "soft_labels"},
    {"logit_norm": 0.04},
    {"consistency": 0.7},
    {"contrastive": 0.5},
]


def outputs(extra: int = 0, *, scale: float = 1.0) -> Outputs:
    generator = torch.Generator().manual_seed(0)
    sizes = (4, N_SUPER + extra, N_SUB + extra)
    return Outputs(
        *(scale * torch.randn(len(SUB_LABELS), size, generator=generator) for size in sizes)
    )


def named(options: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items()) or "default"


def probabilities(logits: Tensor) -> list[list[float]]:
    rows = logits.double().exp()
    return (rows / rows.sum(1, keepdim=True)).tolist()


def by_hand(
    given: Outputs, of_image: Callable[[list[float], int, str], float], weight: float = 1.0
) -> float:
    """Mean over images of a formula of (probabilities, label, level), summed over the heads."""
    total = 0.0
    for level, logits, labels, factor in (
        ("super", given.super_logits, SUPER_LABELS, 1.0),
        ("sub", given.sub_logits, SUB_LABELS, weight),
    ):
        rows = zip(probabilities(logits), labels, strict=True)
        total += factor * float(np.mean([of_image(p, label, level) for p, label in rows]))
    return total


# --- the sum of two cross-entropies ------------------------------------------------------------


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("sub_weight", [1.0, 0.3])
def test_the_loss_is_the_weighted_sum_of_two_cross_entropies(extra: int, sub_weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    super_logits = torch.randn(5, 3 + extra, generator=generator)
    sub_logits = torch.randn(5, 7 + extra, generator=generator)
    super_labels, sub_labels = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 6, 3, 2, 2])

    def entropy(logits: Tensor, labels: Tensor) -> float:
        rows = zip(logits.double().exp(), labels, strict=True)
        return float(np.mean([-math.log(e[label] / e.sum()) for e, label in rows]))

    expected = entropy(super_logits, super_labels) + sub_weight * entropy(sub_logits, sub_labels)
    given = Outputs(torch.empty(5, 0), super_logits, sub_logits)
    loss = two_head_loss(given, super_labels, sub_labels, sub_weight=sub_weight)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(
        loss,
        cross_entropy(super_logits, super_labels)
        + sub_weight * cross_entropy(sub_logits, sub_labels),
    )


def test_the_loss_of_half_precision_logits_is_computed_in_float32() -> None:
    given = Outputs(torch.empty(2, 0), torch.randn(2, 3).bfloat16(), torch.randn(2, 4).bfloat16())
    loss = two_head_loss(given, torch.tensor([0, 1]), torch.tensor([3, 1]), sub_weight=1.0)
    assert loss.dtype == torch.float32


# --- losses and labels -------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [0, 1])
def test_label_smoothing_is_torchs_over_the_known_classes(extra: int) -> None:
    given = outputs(extra)
    loss = make_loss(TrainConfig(label_smoothing=0.3, sub_weight=0.5), TREE)(given, *LABELS)

    def formula(p: list[float], label: int, level: str) -> float:
        n = N_SUPER if level == "super" else N_SUB
        return -sum((0.7 * (c == label) + 0.3 / n) * math.log(p[c]) for c in range(n))

    assert float(loss) == pytest.approx(by_hand(given, formula, 0.5), rel=1e-5)
    if not extra:
        expected = cross_entropy(given.super_logits, LABELS[0], label_smoothing=0.3)
        expected += 0.5 * cross_entropy(given.sub_logits, LABELS[1], label_smoothing=0.3)
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_is_its_formula(gamma: float, extra: int) -> None:
    given = outputs(extra)
    loss = make_loss(TrainConfig(loss="focal", focal_gamma=gamma), TREE)(given, *LABELS)

    def formula(p: list[float], label: int, level: str) -> float:
        return -((1 - p[label]) ** gamma) * math.log(p[label])

    assert float(loss) == pytest.approx(by_hand(given, formula), rel=1e-5)


@pytest.mark.parametrize("extra", [0, 1])
def test_the_hierarchical_loss_is_its_formula(extra: int) -> None:
    given = outputs(extra)
    config = TrainConfig(loss="hierarchical", hierarchical_alpha=0.6)
    loss = make_loss(config, TREE)(given, *LABELS)

    def formula(p: list[float], label: int, level: str) -> float:
        if level == "super":
            return -math.log(p[label])
        above = sum(p[c] for c in range(N_SUB) if PARENTS[c] == PARENTS[label])
        return -math.log(p[label] / above) - math.exp(-0.6) * math.log(above)

    assert float(loss) == pytest.approx(by_hand(given, formula), rel=1e-5)


def test_soft_labels_are_a_softmax_of_the_distance_in_the_tree() -> None:
    given = outputs(1)
    config = TrainConfig(loss="soft_labels", soft_beta=3.0, label_smoothing=0.1)
    loss = make_loss(config, TREE)(given, *LABELS)

    def formula(p: list[float], label: int, level: str) -> float:
        def distance(c: int) -> float:
            if c == label:
                return 0.0
            return 0.5 if level == "sub" and PARENTS[c] == PARENTS[label] else 1.0

        n = N_SUPER if level == "super" else N_SUB
        weights = [math.exp(-3.0 * distance(c)) for c in range(n)]
        targets = [0.9 * weight / sum(weights) + 0.1 / n for weight in weights]
        return -sum(target * math.log(p[c]) for c, target in enumerate(targets))

    assert float(loss) == pytest.approx(by_hand(given, formula), rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "focal", "focal_gamma": 0.0},
        {"loss": "hierarchical", "hierarchical_alpha": 0.0},
        {"loss": "soft_labels", "soft_beta": 200.0},
    ],
    ids=named,
)
def test_each_loss_has_a_value_at_which_it_is_the_cross_entropy(options: dict[str, Any]) -> None:
    given = outputs()
    loss = make_loss(TrainConfig(**options), TREE)(given, *LABELS)
    torch.testing.assert_close(loss, two_head_loss(given, *LABELS, sub_weight=1.0))


# --- terms that are added ----------------------------------------------------------------------


def test_logit_norm_gives_all_logits_one_length() -> None:
    given = outputs(1).sub_logits
    expected = [[x / math.hypot(*row) / 0.25 for x in row] for row in given.double().tolist()]
    found = logit_norm(given, temperature=0.25)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    torch.testing.assert_close(logit_norm(100 * given, temperature=0.25), found)


def test_logit_norm_is_used_with_any_loss() -> None:
    given = outputs()
    normed = given._replace(
        super_logits=logit_norm(given.super_logits, temperature=0.1),
        sub_logits=logit_norm(given.sub_logits, temperature=0.1),
    )
    for options in ({}, {"loss": "focal"}, {"label_smoothing": 0.2}):
        found = make_loss(TrainConfig(logit_norm=0.1, **options), TREE)(given, *LABELS)
        expected = make_loss(TrainConfig(**options), TREE)(normed, *LABELS)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("extra", [0, 1])
def test_consistency_is_the_jensen_shannon_divergence_of_the_heads(extra: int) -> None:
    given = outputs(extra)
    found = consistency_loss(given.super_logits, given.sub_logits, TREE)
    each = []
    supers, subs = probabilities(given.super_logits), probabilities(given.sub_logits)
    for p, sub in zip(supers, subs, strict=True):
        q = [sum(sub[c] for c in range(N_SUB) if PARENTS[c] == s) for s in range(N_SUPER)]
        q += sub[N_SUB:]
        middle = torch.tensor([(a + b) / 2 for a, b in zip(p, q, strict=True)]).log()
        each.append(
            sum(0.5 * float(kl_div(middle, torch.tensor(d), reduction="sum")) for d in (p, q))
        )
    assert float(found) == pytest.approx(float(np.mean(each)), rel=1e-4)


def test_heads_that_agree_are_consistent() -> None:
    sub_logits = outputs().sub_logits
    agreeing = log_sum_by_super(sub_logits, TREE)
    assert float(consistency_loss(agreeing, sub_logits, TREE)) == pytest.approx(0, abs=1e-7)
    other = consistency_loss(agreeing.flip(1), sub_logits, TREE)
    assert 0.01 < float(other) < math.log(2)


def test_sums_by_super_class_are_right_where_probabilities_underflow() -> None:
    logs = torch.tensor([[0.0, -300.0, -500.0, -1.0, -2.0, -300.0]])
    expected = [[-300 + math.log(2), math.log(1 + math.exp(-1) + math.exp(-2)), -500.0]]
    np.testing.assert_allclose(log_sum_by_super(logs, TREE), expected, rtol=1e-6)


def test_the_contrastive_loss_is_its_formula_at_both_levels() -> None:
    features = outputs().features
    found = contrastive_loss(features, LABELS, temperature=0.2)
    z = [row / np.linalg.norm(row) for row in features.double().numpy()]
    expected = 0.0
    for labels in (SUPER_LABELS, SUB_LABELS):
        each = []
        for i in range(len(z)):
            others = [j for j in range(len(z)) if j != i]
            below = sum(math.exp(z[i] @ z[j] / 0.2) for j in others)
            same = [j for j in others if labels[j] == labels[i]]
            if same:
                logs = [math.log(math.exp(z[i] @ z[j] / 0.2) / below) for j in same]
                each.append(-np.mean(logs))
        expected += np.mean(each)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_batch_without_two_images_of_a_class_has_no_contrastive_loss() -> None:
    features = torch.randn(3, 4, requires_grad=True)
    loss = contrastive_loss(features, (torch.arange(3),), temperature=0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_added_terms_are_weighted() -> None:
    given = outputs()
    config = TrainConfig(consistency=0.7, contrastive=0.3, contrastive_temperature=0.5)
    expected = two_head_loss(given, *LABELS, sub_weight=1.0)
    expected += 0.7 * consistency_loss(given.super_logits, given.sub_logits, TREE)
    expected += 0.3 * contrastive_loss(given.features, LABELS, temperature=0.5)
    torch.testing.assert_close(make_loss(config, TREE)(given, *LABELS), expected)


# --- extremes, and training --------------------------------------------------------------------


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", EVERY, ids=named)
def test_loss_and_gradients_are_finite_at_extreme_outputs(
    options: dict[str, Any], dtype: torch.dtype, scale: float, extra: int
) -> None:
    given = Outputs(*(t.to(dtype).requires_grad_() for t in outputs(extra, scale=scale)))
    loss = make_loss(TrainConfig(**options), TREE)(given, *LABELS)
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    loss.backward()
    for tensor in given:
        assert tensor.grad is None or bool(torch.isfinite(tensor.grad).all())


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
@pytest.mark.parametrize("options", EVERY[1:], ids=named)
def test_every_loss_trains_both_kinds_of_network(
    options: dict[str, Any], features: np.ndarray | None
) -> None:
    plain, run = (run_of(config_of(**each), features=features) for each in ({}, options))
    for each in (plain, run):
        assert np.isfinite(each.train_epoch(1))
    if features is None or "contrastive" not in options:
        assert any(
            not torch.equal(a, b)
            for a, b in zip(plain.net.parameters(), run.net.parameters(), strict=True)
        )


def test_the_contrastive_loss_of_frozen_features_is_refused() -> None:
    wanted = r"train\.contrastive needs model\.freeze=none .*but got train\.contrastive=0\.1$"
    with pytest.raises(ValueError, match=wanted):
        load_config("cpu", ["train.contrastive=0.1"])
    with pytest.raises(ValueError, match=r"search\.space: train\.contrastive cannot be 0\.5: "):
        load_config("cpu", ["search.space.train.contrastive={low: 0, high: 0.5}"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.loss=mse", "'cross_entropy', 'focal', 'hierarchical' or 'soft_labels'"),
        ("train.label_smoothing=1", "less than 1"),
        ("train.focal_gamma=-1", "greater than or equal to 0"),
        ("train.logit_norm=0", "greater than 0"),
    ],
)
def test_a_wrong_value_is_one_line(override: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        load_config(None, [override])
    assert "\n" not in str(caught.value)
