"""Claims about features and predictions of a GPU. All are skipped where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hierclf.config import parse_config
from hierclf.data.cache import open_cache
from hierclf.nets.backbones import build_backbone
from hierclf.nets.preprocessing import center_view
from hierclf.predict import predict_images
from hierclf.training.augment import augment
from hierclf.training.features import open_features
from tests.fold_runs import CACHE
from tests.frozen_features import config_of, write_weights
from tests.layouts import make_source
from tests.tiny_models import pictures, tiny_bundle

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda")


# Stored images are resized to whole levels, and a GPU rounds another way than a CPU: a few pixels
# differ by one level, which moves features by about 0.2 %.
LEVEL = 1 / 255


def test_a_gpu_shows_the_network_what_a_cpu_does_to_one_level() -> None:
    images = torch.from_numpy(np.asarray(CACHE.images)[:32])
    found, expected = (
        center_view(images.to(device), size=48, crop_fraction=0.875, interpolation="bilinear")
        for device in (GPU, CPU)
    )
    assert (found.cpu() - expected).abs().max() < 1.1 * LEVEL


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.5])
def test_the_same_seed_augments_alike_on_a_cpu_and_a_gpu(strength: float) -> None:
    images = torch.from_numpy(np.asarray(CACHE.images)[:32])
    found, expected = (
        augment(
            images.to(device),
            size=48,
            strength=strength,
            generator=torch.Generator().manual_seed(3),
        ).cpu()
        for device in (GPU, CPU)
    )
    # A pixel on the black edge of a rotated crop may fall on either side of it.
    assert ((found - expected).abs() > 1.1 * LEVEL).float().mean() < 0.002


def test_features_of_a_gpu_are_those_of_a_cpu(tmp_path: Path) -> None:
    config = parse_config(
        {
            "model": {"backbone": "resnet18", "freeze": "backbone", "image_size": 64},
            "train": {"views": 0},
        }
    )
    backbone = build_backbone("resnet18", "none")
    found, expected = (
        open_features(CACHE, config, backbone, directory=tmp_path / device.type, device=device)
        for device in (GPU, CPU)
    )
    assert np.linalg.norm(found - expected) <= 5e-3 * np.linalg.norm(expected)


def test_features_of_two_processes_on_gpus_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.training.feature_processes.IMAGES_A_PROCESS", 1)
    cache = open_cache(make_source(per_class=20, shape=(20, 20)), size=None, directory=tmp_path)
    config = config_of(write_weights(tmp_path / "w.safetensors"))
    backbone = build_backbone(config.model.backbone, config.model.weights)
    found, expected = (
        open_features(cache, config, backbone, directory=tmp_path / str(n), device=GPU, workers=n)
        for n in (2, 1)
    )
    np.testing.assert_array_equal(found, expected)


def test_decisions_of_a_gpu_are_those_of_a_cpu() -> None:
    images = pictures(200)
    found, expected = (
        predict_images(tiny_bundle(), images, device=device) for device in (GPU, CPU)
    )
    names = ["superclass", "subclass"]
    same = (found[names] == expected[names]).all(axis=1)
    assert same.mean() >= 0.97  # a score may lie that near to its threshold
