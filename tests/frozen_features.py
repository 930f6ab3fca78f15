"""A frozen network with random weights and its features, for tests of the feature bank."""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from hierclf.config import Config, parse_config
from hierclf.data.cache import ImageCache
from hierclf.nets.backbones import build_backbone
from hierclf.progress import Progress
from hierclf.training.features import open_features as open_bank


def write_weights(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    safetensors.torch.save_file(build_backbone("smallnet", "none").module.state_dict(), path)
    return path


def config_of(weights: Path, **train: object) -> Config:
    model = {"backbone": "smallnet", "weights": str(weights), "freeze": "backbone"}
    return parse_config(
        {
            "model": model | {"image_size": 16, "crop_fraction": 0.8},
            "train": {"views": 2, "eval_batch_size": 5} | train,
            "search": {"space": {"train.strength": {"low": 0, "high": 2}}},
        }
    )


def open_features(
    cache: ImageCache,
    config: Config,
    directory: Path,
    progress: Progress | None = None,
    workers: int | None = None,
) -> np.ndarray:
    backbone = build_backbone(config.model.backbone, config.model.weights)
    return open_bank(
        cache,
        config,
        backbone,
        directory=directory,
        device=torch.device("cpu"),
        workers=workers,
        progress=progress,
    )


def stop_after(n_images: int) -> Progress:
    """Progress that is Ctrl-C once more than so many images, views counted, are done."""

    def stop(done: int, total: int) -> None:
        if done > n_images:
            raise KeyboardInterrupt

    return stop


def banks(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("features-*.npy"))
