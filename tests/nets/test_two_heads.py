"""Claims about the two-head network, against the same arithmetic by hand."""

import pytest
import torch
from torch import Tensor, nn

from hierclf.nets.backbones import Backbone, build_backbone
from hierclf.nets.two_heads import Outputs, TwoHeadNet, TwoHeads, known_outputs


class Flat(nn.Module):
    """A backbone that anyone can compute: the mean of each channel."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def flat_net(*, novel_output: bool = False) -> TwoHeadNet:
    torch.manual_seed(0)
    backbone = Backbone(Flat(), 3, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0), "bilinear")
    return TwoHeadNet(backbone, TwoHeads(3, 2, 5, novel_output=novel_output))


def test_images_are_normalised_inside() -> None:
    images = torch.rand(4, 3, 6, 6)
    expected = torch.stack(
        [
            (images[:, channel].mean(dim=(1, 2)) - mean) / std
            for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 2.0)])
        ],
        dim=1,
    )
    net = flat_net()
    torch.testing.assert_close(net(images).features, expected)
    torch.testing.assert_close(net.features(images), expected)


def test_each_head_is_one_linear_layer_on_the_features() -> None:
    net = flat_net()
    outputs = net(torch.rand(4, 3, 6, 6))
    for logits, head in (
        (outputs.super_logits, net.heads.super_head),
        (outputs.sub_logits, net.heads.sub_head),
    ):
        torch.testing.assert_close(logits, outputs.features @ head.weight.T + head.bias)
    assert outputs.super_logits.shape == (4, 2)
    assert outputs.sub_logits.shape == (4, 5)


def test_the_novel_unit_is_the_last_column_of_each_head() -> None:
    net = flat_net(novel_output=True)
    outputs = net(torch.rand(4, 3, 6, 6))
    assert outputs.super_logits.shape == (4, 2 + 1)
    assert outputs.sub_logits.shape == (4, 5 + 1)
    known = known_outputs(outputs, 2, 5)
    assert torch.equal(known.super_logits, outputs.super_logits[:, :-1])
    assert torch.equal(known.sub_logits, outputs.sub_logits[:, :-1])
    assert torch.equal(known.features, outputs.features)


def test_without_a_novel_unit_nothing_is_cut_off() -> None:
    outputs = Outputs(torch.rand(4, 3), torch.rand(4, 2), torch.rand(4, 5))
    for before, after in zip(outputs, known_outputs(outputs, 2, 5), strict=True):
        assert torch.equal(before, after)


def test_normalisation_is_saved_with_the_weights_but_not_trained() -> None:
    net = flat_net()
    assert {"mean", "std"} <= set(net.state_dict())
    assert not {"mean", "std"} & {name for name, _ in net.named_parameters()}


@pytest.mark.parametrize("head", ["super_logits", "sub_logits"])
def test_both_heads_train_the_shared_backbone(head: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone("smallnet", "none")
    net = TwoHeadNet(backbone, TwoHeads(backbone.n_features, 2, 5))
    getattr(net(torch.rand(4, 3, 32, 32)), head).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.backbone.parameters())
