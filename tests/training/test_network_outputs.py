"""Claims about a network's outputs under evaluation."""

import numpy as np
import pytest
import torch

from hierclf.training.loop import network_outputs
from hierclf.training.optimisation import Precision
from tests.two_heads import FEATURES, INPUTS, N_SUB, N_SUPER, ROWS, evaluate, heads


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_outputs_come_in_the_order_of_the_rows(batch_size: int) -> None:
    net = heads()
    rows = np.array([3, 1, 20, 1])
    outputs = evaluate(net, rows, batch_size)
    expected = net(FEATURES[rows])
    for found, wanted in zip(outputs, expected, strict=True):
        torch.testing.assert_close(found, wanted.detach())
        assert not found.requires_grad


def test_outputs_are_of_known_classes_only() -> None:
    net = heads(novel_output=True)
    with torch.no_grad():
        for head in (net.super_head, net.sub_head):
            head.bias[-1] = 1e6
    outputs = evaluate(net)
    assert outputs.super_logits.shape == (24, N_SUPER)
    assert outputs.sub_logits.shape == (24, N_SUB)
    assert outputs.super_logits.max() < 100
    assert outputs.sub_logits.max() < 100


def test_outputs_are_float32_under_autocast() -> None:
    outputs = network_outputs(
        heads(),
        INPUTS,
        ROWS,
        n_super=N_SUPER,
        n_sub=N_SUB,
        batch_size=8,
        precision=Precision(torch.bfloat16, scaled=False),
    )
    assert {tensor.dtype for tensor in outputs} == {torch.float32}
