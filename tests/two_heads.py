"""Two heads on drawn features, for tests of the training loop.

Shape legend: 24 images of 6 features, 2 super-classes, 4 sub-classes.
"""

import numpy as np
import torch
from torch import nn

from hierclf.nets.two_heads import Outputs, TwoHeads
from hierclf.training.inputs import Inputs
from hierclf.training.loop import network_outputs
from hierclf.training.optimisation import Precision

FP32 = Precision(None, scaled=False)
N_FEATURES, N_SUPER, N_SUB = 6, 2, 4
ROWS = np.arange(24)
SUPER = torch.arange(24) % N_SUPER
SUB = torch.arange(24) % N_SUB
FEATURES = torch.randn(24, N_FEATURES, generator=torch.Generator().manual_seed(1))
# Two lookups: training and evaluation see the same features.
INPUTS = Inputs(
    lambda batches, generator: (FEATURES[rows] for rows in batches),
    lambda batches: (FEATURES[rows] for rows in batches),
)


def heads(*, novel_output: bool = False) -> TwoHeads:
    torch.manual_seed(0)
    return TwoHeads(N_FEATURES, N_SUPER, N_SUB, novel_output=novel_output)


def evaluate(net: nn.Module, rows: np.ndarray = ROWS, batch_size: int = 5) -> Outputs:
    return network_outputs(
        net,
        INPUTS,
        rows,
        n_super=N_SUPER,
        n_sub=N_SUB,
        batch_size=batch_size,
        precision=FP32,
    )
