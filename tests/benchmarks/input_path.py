"""From stored images to the network's input in training, beside the notebook's transforms."""

import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from hierclf.nets.backbones import IMAGENET_MEAN, IMAGENET_STD
from hierclf.training.augment import augment
from hierclf.training.inputs import batch_reader
from tests.benchmarks.drawn import jpegs, pixels
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds, threads
from tests.benchmarks.notebook import decode, train_transform

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


@figure(
    "input_host_us",
    unit="us/image",
    ours="CPU time of the host for a training batch of 64 px that a device augments",
    theirs="the notebook's decoding and transforms",
    aim="20 us at most",
)
def input_host_us(device: torch.device) -> Rounds:
    images = pixels(4096)
    encoded, transform = jpegs(images[:_BATCH]), train_transform()
    read = batch_reader(images, device)
    rng = np.random.default_rng(0)

    def ours() -> float:
        rows = rng.permutation(len(images)).reshape(-1, _BATCH)
        start = time.process_time()
        for batch in rows:
            part = read(batch)
            if device.type != "cpu":
                augment(part, size=224, strength=1.0)
        return 1e6 * (time.process_time() - start) / len(images)

    def theirs() -> float:
        start = time.process_time()
        torch.stack([transform(decode(data)) for data in encoded])
        return 1e6 * (time.process_time() - start) / _BATCH

    note = "" if device.type != "cpu" else "index and copy of the batch only: no kernel launches"
    with threads(1):  # idle threads of a pool count as CPU time, too
        return in_turn(ours, theirs)._replace(note=note)
