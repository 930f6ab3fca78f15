"""Claims about how many images are inferred at a time."""

import pytest
import torch

from hierclf.nets.inference import CPU_PIXELS, images_at_a_time

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [1, 32, 64, 224, 260])
def test_a_cpu_takes_as_many_images_as_the_pixels_allow(size: int) -> None:
    n_images = images_at_a_time(size, CPU, most=10**6)
    assert n_images * size**2 <= CPU_PIXELS < (n_images + 1) * size**2


def test_never_more_than_asked_for_and_never_none() -> None:
    assert images_at_a_time(32, CPU, most=5) == 5
    assert images_at_a_time(4000, CPU, most=64) == 1


def test_a_gpu_takes_the_whole_batch() -> None:
    assert images_at_a_time(4000, torch.device("cuda"), most=64) == 64
