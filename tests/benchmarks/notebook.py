"""What the two-head paper's notebook does, in plain PyTorch: its transforms and its test loop."""

import io
from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def train_transform(size: int = 224) -> Callable[[Image.Image], Tensor]:
    """PIL image to float32 [3, size, size]: the notebook's chain, scaled if size is not 224."""
    return tv.Compose(
        [
            tv.Resize(round(size * 256 / 224)),
            tv.RandomResizedCrop(size, scale=(0.7, 1.0)),
            tv.RandomHorizontalFlip(),
            tv.ColorJitter(0.3, 0.3, 0.3, 0.1),
            tv.RandomRotation(20),
            tv.ToTensor(),
            tv.Normalize(_MEAN, _STD),
        ]
    )


class _Files(Dataset[Tensor]):
    def __init__(self, images: Sequence[bytes], size: int) -> None:
        self.images = images
        self.transform = tv.Compose(
            [
                tv.Resize(round(size * 256 / 224)),
                tv.CenterCrop(size),
                tv.ToTensor(),
                # The network of this project normalises inside.
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(decode(self.images[index]))


def test_loop(
    net: nn.Module, images: Sequence[bytes], size: int, device: torch.device
) -> list[tuple[int, int]]:
    """Its prediction with fixed thresholds on the largest softmax, an image at a time at the end.

    Args:
        net: images in [0, 1] to features and the logits of both heads.
    """
    loader = DataLoader(_Files(images, size), batch_size=64, shuffle=False, num_workers=2)
    rows = []
    net.eval()
    with torch.no_grad():
        for batch in loader:
            _, super_logits, sub_logits = net(batch.to(device))
            super_prob, super_class = super_logits.softmax(dim=1).max(dim=1)
            sub_prob, sub_class = sub_logits.softmax(dim=1).max(dim=1)
            for i in range(len(batch)):
                row_super = super_class[i].item() if super_prob[i].item() >= 0.7 else -1
                row_sub = sub_class[i].item() if sub_prob[i].item() >= 0.5 else -1
                rows.append((int(row_super), int(row_sub)))
    return rows
