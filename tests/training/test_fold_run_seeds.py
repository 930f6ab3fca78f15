"""Claims about random numbers in training: all come from the seed, and none from elsewhere."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.fold_runs import BANK, assert_same_state, run_of


def with_dropout(net: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.5), net)


@pytest.mark.parametrize("features", [None, BANK], ids=["images", "features"])
def test_training_leaves_torchs_global_generator_as_it_was(features: np.ndarray | None) -> None:
    before = torch.get_rng_state()
    run_of(features=features).train_epoch(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_the_same_whatever_was_drawn_before() -> None:
    runs = []
    for drawn in (0, 100):
        run = run_of(features=BANK)
        run.trained = with_dropout(run.net)
        torch.rand(drawn)
        run.train_epoch(1)
        runs.append(run)
    assert_same_state(*runs)


def test_dropout_differs_from_epoch_to_epoch() -> None:
    run = run_of(features=BANK)
    run.trained = dropout = with_dropout(run.net)
    seen: list[torch.Tensor] = []
    dropout[0].register_forward_hook(lambda module, inputs, output: seen.append(output == 0))
    run.train_epoch(1)
    first = len(seen)
    run.train_epoch(2)
    assert not torch.equal(seen[0], seen[first])
