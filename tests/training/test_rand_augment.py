"""Claims about RandAugment, against torchvision's own transforms."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from hierclf.config import load_config
from hierclf.training.augment import augment
from hierclf.training.inputs import image_inputs
from hierclf.training.rand_augment import rand_augment

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 20, 28, 3), dtype=np.uint8))


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("strength", "magnitude"), [(0.5, 4), (1.0, 9), (3.0, 27)])
def test_it_is_torchvisions_crop_flip_and_two_operations(strength: float, magnitude: int) -> None:
    ours = rand_augment(IMAGES, size=16, strength=strength, generator=seeded())
    chain = [
        v2.RandomResizedCrop(16, scale=(1 - 0.3 * strength, 1), ratio=(3 / 4, 4 / 3)),
        v2.RandomHorizontalFlip(0.5),
        v2.RandAugment(num_ops=2, magnitude=magnitude),
    ]
    torch.manual_seed(int(torch.randint(2**62, (), generator=seeded())))
    for image, found in zip(IMAGES, ours, strict=True):
        expected = image.permute(2, 0, 1)
        for step in chain:
            expected = step(expected)
        torch.testing.assert_close(found, expected.float() / 255)


def test_strength_0_only_resizes() -> None:
    ours = rand_augment(IMAGES, size=16, strength=0.0)
    torch.testing.assert_close(ours, augment(IMAGES, size=16, strength=0.0), rtol=0, atol=0)


def test_each_image_is_changed_in_its_own_way_which_the_seed_repeats() -> None:
    same = IMAGES[:1].expand(8, -1, -1, -1)
    first, again, other = (
        rand_augment(same, size=16, strength=1.0, generator=seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(image.flatten().tolist()) for image in first}) == 8


def test_other_random_numbers_stay_as_they_were() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    rand_augment(IMAGES, size=16, strength=1.0, generator=seeded())
    assert torch.equal(torch.rand(3), expected)


def test_the_network_is_fed_with_it_in_training_alone() -> None:
    how = {"size": 16, "crop_fraction": 1.0, "interpolation": "bilinear", "strength": 1.0}
    rows, device = np.arange(6), torch.device("cpu")

    def fed(augmentation: str) -> tuple[Tensor, Tensor]:
        inputs = image_inputs(IMAGES.numpy(), device=device, augmentation=augmentation, **how)  # type: ignore[arg-type]
        return next(inputs.train([rows], seeded())), next(inputs.eval([rows]))

    train, evaluated = fed("randaugment")
    expected = rand_augment(IMAGES, size=16, strength=1.0, generator=seeded())
    torch.testing.assert_close(train, expected, rtol=0, atol=0)
    torch.testing.assert_close(evaluated, fed("recipe")[1], rtol=0, atol=0)


@pytest.mark.parametrize("strength", [-0.1, 3.1])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="`0 <= strength <= 3` must hold, but got strength="):
        rand_augment(IMAGES, size=16, strength=strength)


def test_a_frozen_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train\.augmentation needs model\.freeze=none"):
        load_config("cpu", ["train.augmentation=randaugment"])
