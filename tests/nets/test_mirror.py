"""Claims about backbones that average an image and its mirror image."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from hierclf.bundle.directory import load_bundle, save_bundle
from hierclf.nets.backbones import build_backbone
from hierclf.nets.inference import fold_batch_norm
from hierclf.training.fold_table import fit_fold_scores
from hierclf.training.optimisation import backbone_layers
from hierclf.training.trained_bundle import bundle_from_run
from tests.fold_runs import CACHE, FOLDS, config_of, run_of

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
NAME = "smallnet+mirror"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[nn.Module, nn.Module]:
    """A network and the one that averages, of the same weights from a file."""
    torch.manual_seed(0)
    plain = build_backbone("smallnet", "none").module
    for _ in range(30):
        plain(IMAGES)  # its statistics become those of the images
    safetensors.torch.save_file(plain.state_dict(), tmp_path / "a.safetensors")
    return plain, build_backbone(NAME, str(tmp_path / "a.safetensors")).module


@torch.no_grad()
def test_evaluation_averages_the_features_of_both_images(
    pair: tuple[nn.Module, nn.Module],
) -> None:
    plain, mirrored = (net.eval() for net in pair)
    flipped = torch.from_numpy(IMAGES.numpy()[..., ::-1].copy())
    assert (plain(IMAGES) - plain(flipped)).abs().max() > 0.01
    torch.testing.assert_close(mirrored(IMAGES), (plain(IMAGES) + plain(flipped)) / 2)
    torch.testing.assert_close(mirrored(IMAGES), mirrored(flipped))


@torch.no_grad()
def test_training_sees_each_image_once(pair: tuple[nn.Module, nn.Module]) -> None:
    plain, mirrored = (net.train() for net in pair)
    assert torch.equal(plain(IMAGES), mirrored(IMAGES))


@torch.no_grad()
def test_batch_normalisation_is_folded_in(pair: tuple[nn.Module, nn.Module]) -> None:
    net = pair[1].eval()
    folded = fold_batch_norm(net)
    assert not [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    torch.testing.assert_close(folded(IMAGES), net(IMAGES))


def test_the_layers_are_those_of_the_network(pair: tuple[nn.Module, nn.Module]) -> None:
    sizes = [[[p.shape for p in layer] for layer in backbone_layers(net)] for net in pair]
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) == 7


def test_a_trained_network_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    config = config_of(epochs=1).with_values({"model.backbone": NAME})
    run = run_of(config, "all")
    run.train_epoch(1)
    rows = FOLDS["all"].train[:6]
    before = run.outputs(rows)
    states = fit_fold_scores(run, config.thresholds.scores)
    save_bundle(bundle_from_run(run, states), tmp_path / "model")
    bundle = load_bundle(tmp_path / "model")
    assert bundle.backbone == NAME
    assert isinstance(CACHE.images, np.ndarray)
    pixels = torch.from_numpy(CACHE.images[rows]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        for given in (pixels, pixels.flip(-1)):
            logits = bundle.net(given).sub_logits
            torch.testing.assert_close(
                logits, torch.from_numpy(before.sub_logits), atol=1e-4, rtol=1e-4
            )
