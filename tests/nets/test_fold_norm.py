"""Claims about folded batch normalisation, against the network as it was."""

import copy

import pytest
import torch
from torch import Tensor, nn

from hierclf.nets.backbones import build_backbone
from hierclf.nets.inference import fold_batch_norm


def worn_in(net: nn.Module) -> nn.Module:
    """In evaluation mode, with statistics and affine parameters as training leaves them."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias, std=0.3)
    return net.eval()


def n_norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("name", ["smallnet", "resnet18", "resnet50", "tf_efficientnet_lite0"])
def test_a_folded_network_gives_the_same_features_without_a_normalisation(name: str) -> None:
    net = worn_in(build_backbone(name, "none").module.double())
    images = torch.rand(3, 3, 64, 64, dtype=torch.double)
    before = copy.deepcopy(net.state_dict())
    folded = fold_batch_norm(net)
    with torch.inference_mode():
        expected = net(images)
        error = (folded(images) - expected).norm() / expected.norm()
    assert error < 1e-12
    assert n_norms(net) > 0
    assert n_norms(folded) == 0
    for key, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)


class Shared(nn.Module):
    """The first convolution's output is needed as it is; the second one is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.a, self.b = nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x + self.a(x) + self.b(self.second(x)) + self.second(x)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return self._conv_forward(x, weight, self.bias)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if x.mean() > 0 else x


@pytest.mark.parametrize(
    "make",
    [
        Shared,
        lambda: nn.Sequential(Standardised(3, 3, 1), nn.BatchNorm2d(3)),
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)),
        Branching,
    ],
    ids=["shared", "standardised", "not after a convolution", "cannot be traced"],
)
def test_what_cannot_be_folded_stays(make: type[nn.Module]) -> None:
    net = worn_in(make())
    images = torch.rand(2, 3, 4, 4)
    folded = fold_batch_norm(net)
    assert n_norms(folded) == n_norms(net)
    assert torch.equal(folded(images), net(images))
