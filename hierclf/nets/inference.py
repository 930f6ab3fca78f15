"""Batch normalisation folded into the convolutions before it: the same function, fewer passes.

In evaluation a batch normalisation is a fixed scale and shift of each channel, and so is part of
what a convolution can compute. Without it, every activation is written and read once less.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from typing import cast

import torch
from torch import fx, nn

# Classes whose arithmetic is known, timm's among them. A subclass of another name may do anything,
# such as standardise its weights at every call.
_CONVOLUTIONS = ("Conv2d", "Conv2dSame")
_NORMALISATIONS = ("BatchNorm2d", "BatchNormAct2d")
_SEVERAL = "SideBySide"  # whose members are folded one by one: what it does to images has branches


def fold_batch_norm(net: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, with its batch normalisations folded.

    Outputs are those of `net` in evaluation mode, to rounding. A normalisation stays where it does
    not follow a convolution directly, and all do in a network that torch.fx cannot trace. The copy
    is for inference only.
    """
    net = copy.deepcopy(net).eval()
    for several in [each for each in net.modules() if type(each).__name__ == _SEVERAL]:
        members = cast(nn.ModuleList, several.members)
        for i, member in enumerate(members):
            members[i] = fold_batch_norm(member)
    for conv_name, norm_name in list(_pairs(net)):
        conv = cast(nn.Conv2d, net.get_submodule(conv_name))
        norm = cast(nn.BatchNorm2d, net.get_submodule(norm_name))
        _replace(net, conv_name, nn.utils.fuse_conv_bn_eval(conv, norm))
        # timm's normalisations hold the activation that follows them.
        _replace(net, norm_name, nn.Sequential(*norm.children()))
    return net


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        known = type(module).__name__ in (*_CONVOLUTIONS, *_NORMALISATIONS, _SEVERAL)
        return known or super().is_leaf_module(module, name)


def _pairs(net: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of each convolution, and the normalisation that alone takes its output."""
    try:
        graph = _Tracer().trace(net)
    except Exception:  # control flow that depends on data raises nearly anything: nothing to fold
        return
    modules = dict(net.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        conv, norm = (type(modules[str(item.target)]).__name__ for item in (source, node))
        once = calls[source.target] == calls[node.target] == 1
        if once and conv in _CONVOLUTIONS and norm in _NORMALISATIONS:
            yield str(source.target), str(node.target)


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, module)


CPU_PIXELS = 1 << 18


def images_at_a_time(size: int, device: torch.device, *, most: int) -> int:
    """On a GPU `most`; on a CPU few: together at most 2^18 pixels, at least one image.

    What the layers of a large batch give does not fit the memory that an allocator keeps, so each
    layer waits for fresh, zeroed pages of the system (glibc: for tensors above 32 MB; half of the
    time and more), and out of the processor's cache. 64 images of 260 px through EfficientNet-Lite2
    on two cores: 1.8 s in one batch, 1.0 s by fours; Lite0 at 128 px: 0.18 and 0.15 s.

    Args:
        size: side of the images in pixels.
        most: what the caller would take otherwise, above 0.
    """
    return most if device.type != "cpu" else max(1, min(most, CPU_PIXELS // size**2))


def pick_device(name: str) -> torch.device:
    """The device of a name such as `cpu`, `cuda` or `cuda:1`; `auto` is a GPU where there is one.

    Raises:
        ValueError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"the device must exist on this machine, got {name!r}: {reason}") from None
    return device
