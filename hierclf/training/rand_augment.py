"""RandAugment: operations drawn at random, by torchvision, for one image at a time.

Source: Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search
Space", CVPR Workshops 2020.

Shape legend: B images, H x W stored size.
"""

import torch
from torch import Tensor

from hierclf.nets.preprocessing import check_pixels, to_input
from hierclf.training.augment import CROP_LOSS, augment, check_strength
from hierclf.training.seeding import seeded

_OPERATIONS = 2  # of each image, as in the paper
_MAGNITUDE = 9  # of torchvision's 31 steps from 0 to 30, at strength 1; torchvision's default


def rand_augment(
    images: Tensor, *, size: int, strength: float, generator: torch.Generator | None = None
) -> Tensor:
    """Augment a batch for training by RandAugment, in place of `augment`.

    Of each image, torchvision's RandomResizedCrop (70 to 100 % of the area at strength 1) and
    horizontal flip, then two of the fourteen operations of its RandAugment, such as a rotation,
    a shear, a change of contrast or of sharpness, with magnitude 9 of 30 at strength 1. Other
    strengths scale the crop's loss of area and the magnitude; 0 only resizes.

    One image after the other: on a CPU half the time of `augment` for images of 224 pixels, but
    four times as much for those of 64; on a GPU, each image starts kernels of its own.

    Args:
        images: uint8 [B, H, W, 3].
        size: side of the output in pixels, at least 1.
        strength: 0 to 3.
        generator: source of all randomness, on any device; default: torch's own on the CPU.

    Returns:
        float32 [B, 3, size, size] in [0, 1], channels_last.

    Raises:
        ValueError: images of another type or shape, size or strength out of range.
    """
    from torchvision.transforms import v2  # slow to import, and prediction does not need it

    if strength == 0:
        return augment(images, size=size, strength=0)
    check_pixels(images, size)
    check_strength(strength)
    change = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(1 - CROP_LOSS * strength, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandAugment(_OPERATIONS, round(_MAGNITUDE * strength)),
        ]
    )
    # torchvision draws from torch's global generators.
    source = "cpu" if generator is None else generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=source))
    with seeded(seed, images.device):
        changed = [change(image) for image in images.permute(0, 3, 1, 2)]
    return to_input(torch.stack(changed).permute(0, 2, 3, 1))
