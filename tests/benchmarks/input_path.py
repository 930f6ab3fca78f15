"""From stored images to the network's input in training, beside the notebook's transforms."""

from collections.abc import Callable

import torch
from PIL import Image

from hierclf.nets.backbones import IMAGENET_MEAN, IMAGENET_STD
from hierclf.training.augment import augment
from tests.benchmarks.drawn import pixels
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds, threads
from tests.benchmarks.notebook import train_transform

_BATCH = 64
_AGAINST = "the notebook's transforms on PIL images, decoding apart"


def _augment(device: torch.device, size: int) -> Rounds:
    images = pixels(_BATCH)
    mean, std = (
        torch.tensor(v, device=device).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    batch = torch.from_numpy(images).to(device)
    pictures, transform = [Image.fromarray(image) for image in images], train_transform(size)

    def ours() -> None:
        output = augment(batch, size=size, strength=1.0)
        torch.addcmul(-mean / std, output, 1 / std)  # as the network does it

    def theirs() -> None:
        torch.stack([transform(picture) for picture in pictures])

    with threads(1):
        return in_turn(lambda: _us(ours, device), lambda: _us(theirs, device))


def _us(function: Callable[[], object], device: torch.device) -> float:
    return 1e6 * seconds(function, device) / _BATCH


@figure(
    "augment_224",
    unit="us/image",
    ours="64 px to 224 px, all five operations and normalisation, one core",
    theirs=_AGAINST,
    aim="ratio 4",
)
def augment_224(device: torch.device) -> Rounds:
    return _augment(device, 224)


@figure(
    "augment_128",
    unit="us/image",
    ours="64 px to 128 px, all five operations and normalisation, one core",
    theirs=f"{_AGAINST}, their sizes scaled to 128 px",
    aim="ratio 10",
)
def augment_128(device: torch.device) -> Rounds:
    return _augment(device, 128)


@figure(
    "augment_128_to_224",
    unit="us/image",
    ours="64 px to 128 px, as `augment_128`",
    theirs=f"{_AGAINST}, as they are: to 224 px",
    aim="ratio 10",
)
def augment_128_to_224(device: torch.device) -> Rounds:
    ours, theirs = _augment(device, 128), _augment(device, 224)
    return Rounds(ours.ours, theirs.theirs)
