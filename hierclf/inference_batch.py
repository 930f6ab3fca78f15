"""How many images a network infers at a time."""

import torch

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
