"""An untrained model and random pictures, for tests of what surrounds the network."""

import io

import numpy as np
import torch
from PIL import Image

from hierclf.backbones import build_backbone
from hierclf.bundle import Bundle, Preprocessing
from hierclf.labels import Hierarchy
from hierclf.model import TwoHeadNet, TwoHeads
from hierclf.thresholds import Rule

SIZE = 32
# The novel ids stand amid the others: nothing may assume that they come last.
HIERARCHY = Hierarchy(
    super_names=("bird", "dog"),
    sub_names=("hen, biddy", "owl", "pug", "collie"),
    sub_to_super=(0, 0, 1, 1),
    super_ids=(0, 2),
    sub_ids=(0, 1, 3, 4),
    novel_super_id=1,
    novel_sub_id=2,
)


def picture(seed: int, size: tuple[int, int] = (SIZE, SIZE)) -> Image.Image:
    """A coarse random pattern, width x height."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def pictures(count: int) -> list[tuple[str, bytes]]:
    return [(f"{index}.png", encoded(picture(index))) for index in range(count)]


def tiny_bundle(rule: Rule | None = None) -> Bundle:
    """A random smallnet on 32-pixel images; its default rule calls some of `pictures` novel."""
    torch.manual_seed(0)
    backbone = build_backbone("smallnet", "none")
    heads = TwoHeads(backbone.n_features, HIERARCHY.n_super, HIERARCHY.n_sub)
    net = TwoHeadNet(backbone, heads).eval().to(memory_format=torch.channels_last)
    # Answers that differ from picture to picture: large weights, centred on their mean.
    pixels = np.stack([np.asarray(picture(index)) for index in range(20)])
    with torch.no_grad():
        mean = net.features(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).mean(0)
        for head in (heads.super_head, heads.sub_head):
            head.weight.normal_(std=400.0)
            head.bias.copy_(-head.weight @ mean)
    bank = np.random.default_rng(0).normal(size=(6, backbone.n_features)).astype(np.float32)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    return Bundle(
        net=net,
        backbone="smallnet",
        novel_output=False,
        preprocessing=Preprocessing(SIZE, SIZE, SIZE, 0.875, "bilinear"),
        hierarchy=HIERARCHY,
        scores=("msp", "knn"),
        states={"knn.bank": bank, "knn.k": np.array([2])},
        rule=rule or Rule("msp", 0.3, "knn", 0.967),
    )
