"""Claims about the bank of frozen features."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from hierclf.config import parse_config
from hierclf.data.cache import ImageCache, open_cache
from hierclf.nets.backbones import build_backbone
from hierclf.nets.preprocessing import center_view
from hierclf.training.augment import augment
from hierclf.training.features import view_strengths
from tests.frozen_features import banks, config_of, open_features, write_weights
from tests.layouts import make_source, png_of, with_bytes


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "w.safetensors")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return open_cache(make_source(shape=(20, 20)), size=None, directory=tmp_path)


def refuse(*args: object, **options: object) -> NoReturn:
    raise AssertionError("features were computed again")


def test_view_0_is_the_backbone_applied_to_the_centre_view(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    bank = open_features(cache, config_of(weights), tmp_path)
    assert (bank.shape, bank.dtype) == ((3, 12, 128), np.float32)
    backbone = build_backbone("smallnet", str(weights))
    views = center_view(
        torch.from_numpy(np.array(cache.images)),
        size=16,
        crop_fraction=0.8,
        interpolation="bilinear",
    )
    with torch.no_grad():
        expected = backbone.module.eval()((views - 0.5) / 0.25)
    np.testing.assert_allclose(bank[0], expected, rtol=1e-4, atol=1e-6)


def test_later_views_are_augmented_each_stronger_than_the_one_before(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []

    def watch(
        images: torch.Tensor, *, size: int, strength: float, generator: torch.Generator
    ) -> torch.Tensor:
        used.append(strength)
        return augment(images, size=size, strength=strength, generator=generator)

    monkeypatch.setattr("hierclf.training.feature_shards.augment", watch)
    bank = open_features(cache, config_of(weights), tmp_path)
    assert used == [1.0] * 3 + [2.0] * 3  # twelve images in batches of five
    assert view_strengths(2, 2.0).tolist() == [0.0, 1.0, 2.0]
    for view, other in ((0, 1), (0, 2), (1, 2)):
        assert (bank[view] != bank[other]).any(axis=1).all()


def test_a_second_open_computes_nothing(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))

    config = config_of(weights)
    first = np.array(open_features(cache, config, tmp_path, progress=progress))
    assert calls[-1] == (36, 36)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    calls.clear()
    monkeypatch.setattr("hierclf.training.features._compute", refuse)
    second = open_features(cache, config, tmp_path, progress=progress)
    assert isinstance(second, np.memmap)
    assert not second.flags.writeable
    np.testing.assert_array_equal(first, second)
    assert calls == []


def test_the_same_bank_is_computed_again_from_the_same_seed(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    made = []
    for name in ("a", "b"):
        torch.manual_seed(ord(name))  # the state of the global generator plays no part
        made.append(open_features(cache, config_of(weights), tmp_path / name))
    np.testing.assert_array_equal(made[0], made[1])


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"views": 1}},
        {"model": {"image_size": 20}},
        {"model": {"crop_fraction": 1.0}},
        {"search": {"space": {"train.strength": {"low": 0, "high": 1}}}},
        {"seed": 1},
    ],
    ids=str,
)
def test_what_features_depend_on_makes_a_new_bank(
    tmp_path: Path, cache: ImageCache, weights: Path, change: dict[str, object]
) -> None:
    config = config_of(weights)
    open_features(cache, config, tmp_path)
    tree = config.model_dump()
    for key, value in change.items():
        tree[key] = tree[key] | value if isinstance(value, dict) else value
    open_features(cache, parse_config(tree), tmp_path)
    assert len(banks(tmp_path)) == 2


def test_changed_weights_under_the_same_name_make_a_new_bank(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    first = open_features(cache, config_of(weights), tmp_path)
    write_weights(weights, seed=1)
    second = open_features(cache, config_of(weights), tmp_path)
    assert len(banks(tmp_path)) == 2
    assert not np.array_equal(first, second)


def test_the_same_weights_under_another_name_are_the_same_bank(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_features(cache, config_of(weights), tmp_path)
    moved = weights.rename(tmp_path / "other.safetensors")
    monkeypatch.setattr("hierclf.training.features._compute", refuse)
    open_features(cache, config_of(moved), tmp_path)


def test_changed_or_reordered_images_make_a_new_bank(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    open_features(cache, config_of(weights), tmp_path)
    source = make_source(shape=(20, 20))
    changed = with_bytes(source, {3: png_of(np.zeros((20, 20, 3), np.uint8))})
    reordered = replace(source, read=lambda i: source.read(11 - i))
    for fingerprint, other in (("f1", changed), ("f2", reordered)):
        named = replace(other, fingerprint=fingerprint)
        open_features(
            open_cache(named, size=None, directory=tmp_path), config_of(weights), tmp_path
        )
    assert len(banks(tmp_path)) == 3


def test_the_same_images_in_other_files_with_other_labels_are_the_same_bank(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_features(cache, config_of(weights), tmp_path)
    copied = make_source(
        shape=(20, 20), fingerprint="f1", images=[f"copy/{i}.png" for i in range(12)]
    )
    copied.sub_labels[0] = 1
    other = open_cache(copied, size=None, directory=tmp_path)
    monkeypatch.setattr("hierclf.training.features._compute", refuse)
    open_features(other, config_of(weights), tmp_path)


def test_what_the_heads_are_trained_with_makes_no_new_bank(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_features(cache, config_of(weights), tmp_path)
    monkeypatch.setattr("hierclf.training.features._compute", refuse)
    config = config_of(weights, lr=0.5, weight_decay=0.5, strength=2, epochs=3)
    open_features(cache, config, tmp_path)


def test_a_full_disk_is_said_before_anything_is_computed(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr("hierclf.training.features.shutil.disk_usage", lambda directory: Usage())
    with pytest.raises(ValueError, match=r"^the features need 0.0 GB in .* lower train.views"):
        open_features(cache, config_of(weights), tmp_path)
