"""An untrained model and random pictures, for tests of what surrounds the network."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from hierclf.bundle.directory import Bundle, save_bundle
from hierclf.bundle.score_table_file import save_score_table
from hierclf.bundle.training_images_file import save_training_images
from hierclf.data.preprocessing import Preprocessing
from hierclf.hierarchy import Hierarchy
from hierclf.io.digest import sha256_of
from hierclf.nets.backbones import build_backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.rules.calibration import Calibration, LevelCalibration
from hierclf.rules.calibrators import NovelCurve
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable

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
        rule=rule or Rule(LevelRule("msp", 0.3), LevelRule("knn", 0.967)),
        calibration=Calibration(
            LevelCalibration(2.0, NovelCurve(3.0, -1.0)),
            LevelCalibration(1.5, NovelCurve(2.0, -1.9)),
        ),
    )


def tiny_table(n: int = 600) -> pd.DataFrame:
    """A score table of `HIERARCHY` with the scores of `tiny_bundle`.

    Two sub folds hide two sub-classes each, two super folds a super-class each. `knn` is the better
    score of the sub level, `msp` that of the super level.
    """
    rng = np.random.default_rng(0)
    sub, fold = rng.integers(0, 4, n), rng.integers(0, 4, n)
    sup = np.asarray(HIERARCHY.sub_to_super)[sub]
    super_known = sup != fold - 2
    sub_known = super_known & (sub % 2 != fold)
    columns: dict[str, np.ndarray] = {
        "fold": np.array(["sub0", "sub1", "super0", "super1"])[fold],
        "super_label": sup,
        "sub_label": sub,
        "super_known": super_known,
        "sub_known": sub_known,
        "super_pred": np.where(super_known & (rng.random(n) < 0.97), sup, 1 - sup),
        "sub_pred": np.where(sub_known & (rng.random(n) < 0.9), sub, (sub + 1) % 4),
    }
    for level, known in (("super", super_known), ("sub", sub_known)):
        for name, noise in (("msp", 0.6), ("knn", 0.4 if level == "sub" else 0.9)):
            value = 1.5 * ~known + noise * rng.normal(size=n)
            columns[f"{level}_{name}"] = (1 / (1 + np.exp(1.5 - 2 * value))).astype(np.float32)
    return pd.DataFrame(columns)


# The files of the directory that `save_tiny_model` writes.
MODEL_FILES = (
    *("bundle.json", "thresholds.json", "score_table.parquet"),
    *("model.safetensors", "scores.safetensors", "training_images.parquet"),
)
TRAINING_IMAGES = ["hen/1.png", "hen/2.png", "owl/1.png", "pug/1.png", "pug/2.png", "collie/1.png"]
TRAINING_LABELS = [0, 0, 1, 2, 2, 3]


def save_tiny_model(directory: Path, rule: Rule | None = None) -> None:
    """`tiny_bundle`, `tiny_table` and names of its training images as a model directory."""
    save_bundle(tiny_bundle(rule), directory)
    save_score_table(directory, ScoreTable(tiny_table()), [0, 1, 0, 1])
    save_training_images(directory, TRAINING_IMAGES, TRAINING_LABELS)


def sign(directory: Path) -> None:
    """List the checksums of all files as they are now, as whoever forges a directory would."""
    path = directory / "bundle.json"
    files = [file for file in directory.iterdir() if file != path]
    sums = {file.name: sha256_of(file) for file in files}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": sums}))
