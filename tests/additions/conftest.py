"""A trained model of drawn pictures, without one of their classes, for the tests of this folder."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hierclf.config import Config, parse_config
from hierclf.data.demo import demo_source
from hierclf.nets.backbones import build_backbone
from tests.grown_models import train_model

PER_CLASS = 12


class Drawn(NamedTuple):
    """Folders of pictures, and what was trained on them.

    Attributes:
        every: all classes, as super/sub/image.
        known: the same without the last sub-class.
        new: the folder of its images.
        superclass, subclass: its names.
        config: of a model with a frozen backbone, trained on `known`.
        model: its directory.
        cache: of images and features.
    """

    every: Path
    known: Path
    new: Path
    superclass: str
    subclass: str
    config: Config
    model: Path
    cache: Path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    root = tmp_path_factory.mktemp("drawn")
    source = demo_source(0, "train")
    hierarchy, counts = source.hierarchy, [0] * source.hierarchy.n_sub
    for i, sub in enumerate(source.sub_labels.tolist()):
        if counts[sub] < PER_CLASS:
            counts[sub] += 1
            parent = hierarchy.super_names[hierarchy.sub_to_super[sub]]
            file = root / "every" / parent / hierarchy.sub_names[sub] / f"{i:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = source.read(i)
            assert not isinstance(pixels, bytes)
            Image.fromarray(pixels).save(file)
    parent = sorted(path.name for path in (root / "every").iterdir())[-1]
    last = sorted(path.name for path in (root / "every" / parent).iterdir())[-1]
    shutil.copytree(root / "every", root / "known")
    shutil.move(root / "known" / parent / last, root / "new")
    torch.manual_seed(0)
    save_file(build_backbone("smallnet", "none").module.state_dict(), root / "w.safetensors")
    config = config_of(root / "known", root / "w.safetensors")
    train_model(config, root / "model", root / "cache")
    return Drawn(
        *(root / "every", root / "known", root / "new", parent, last),
        *(config, root / "model", root / "cache"),
    )


def config_of(data: Path, weights: Path) -> Config:
    """Features of random weights find bursts everywhere: hence the groups of one image."""
    return parse_config(
        {
            "data": {"path": str(data), "group_by": ".+"},
            "model": {
                **{"backbone": "smallnet", "weights": str(weights), "freeze": "backbone"},
                **{"image_size": 32, "crop_fraction": 1.0},
            },
            "train": {"epochs": 20, "lr": 0.3, "batch_size": 32, "strength": 0.0, "views": 0},
            "folds": {"sub": 3, "super": 2},
        }
    )
