"""Decoding JPEG files, with simplejpeg and without."""

from unittest.mock import patch

import torch

from hierclf.data import images
from tests.benchmarks.drawn import jpegs, pixels
from tests.benchmarks.frame import Rounds, Skip, figure, in_turn, seconds

_OURS = "`hierclf.data.images.decode` with simplejpeg, one core, JPEG files of {} px"
_THEIRS = "the same function without it"


def _decode(side: int, count: int) -> Rounds:
    try:
        import simplejpeg  # noqa: F401
    except ImportError:
        raise Skip("it needs simplejpeg (the extra `fast`)") from None
    files = jpegs(pixels(count, side))

    def run() -> None:
        for data in files:
            images.decode(data)

    def by_pillow() -> None:
        with patch.object(images, "fast_jpeg", lambda data, image: None):
            run()

    return in_turn(lambda: 1e6 * seconds(run) / count, lambda: 1e6 * seconds(by_pillow) / count)


@figure("decode_64", unit="us/image", ours=_OURS.format(64), theirs=_THEIRS, aim="ratio 2")
def decode_64(device: torch.device) -> Rounds:
    return _decode(64, 2000)


@figure("decode_348", unit="us/image", ours=_OURS.format(348), theirs=_THEIRS, aim="ratio 1")
def decode_348(device: torch.device) -> Rounds:
    return _decode(348, 500)
