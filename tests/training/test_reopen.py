"""What `prepare` made, opened in another process: the same, and nothing of the source is read."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hierclf.config import Config, parse_config
from hierclf.nets.backbones import build_backbone
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import Prepared, prepare
from hierclf.training.reopen import PreparedFiles, files_of, reopen
from tests.layouts import TREE, parquet, png_of, tree

pytestmark = pytest.mark.filterwarnings("ignore:.* images:UserWarning")
CPU = torch.device("cpu")


def folder_of_images(root: Path) -> dict[str, Any]:
    return {"data": {"path": str(tree(root / "data", TREE))}}


def frozen(root: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    weights = root / "smallnet.safetensors"
    save_file(build_backbone("smallnet", "none").module.state_dict(), weights)
    model = {"freeze": "backbone", "weights": str(weights)}
    return folder_of_images(root) | {"model": model}


def streamed(root: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    (root / "data").mkdir()
    supers, subs = ["bird", "bird", "dog", "dog"] * 6, ["hen", "owl", "pug", "collie"] * 6
    images: list[bytes | None]
    images = [png_of(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in subs]
    images[5] = b"not an image"
    columns = {"image": images, "superclass": supers, "subclass": subs}
    parquet(root / "data" / "train.parquet", columns, group=7)
    return {"data": {"path": str(root / "data"), "stream": True, "max_bad_share": 0.1}}


KINDS = [folder_of_images, frozen, streamed]


def config_of(settings: dict[str, Any]) -> Config:
    model = {"backbone": "smallnet", "weights": "none", "image_size": 16}
    return parse_config(
        {
            "data": settings["data"],
            "model": model | settings.get("model", {}),
            "train": {"epochs": 1, "batch_size": 4, "views": 1},
            "folds": {"sub": 2, "super": 0},
        }
    )


def made(root: Path, kind: Any) -> tuple[Config, Prepared]:
    config = config_of(kind(root))
    return config, prepare(config, directory=root / "cache", device=CPU)


def sent(*variants: tuple[Config, Prepared]) -> PreparedFiles:
    return pickle.loads(pickle.dumps(files_of(variants)))


def trained(prepared: Prepared, config: Config) -> list[float]:
    fold = prepared.folds["sub0"]
    run = FoldRun(fold, prepared, config, CPU)
    return [run.train_epoch(1), *run.outputs(fold.held_out).features.ravel()]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_reopened_is_what_was_prepared(tmp_path: Path, kind: Any) -> None:
    config, prepared = made(tmp_path, kind)
    found = reopen(sent((config, prepared)), config)
    assert found is not None
    for name in ("names", "fingerprint", "hierarchy", "path"):
        assert getattr(found.cache, name) == getattr(prepared.cache, name)
    np.testing.assert_array_equal(found.cache.sub_labels, prepared.cache.sub_labels)
    assert list(found.cache.quarantine["image"]) == list(prepared.cache.quarantine["image"])
    assert list(found.folds) == list(prepared.folds)
    for fold, expected in zip(found.folds.values(), prepared.folds.values(), strict=True):
        np.testing.assert_array_equal(fold.train, expected.train)
        np.testing.assert_array_equal(fold.held_out, expected.held_out)
    if prepared.features is None:
        assert found.features is None
    else:
        assert isinstance(found.features, np.memmap)
        np.testing.assert_array_equal(found.features, prepared.features)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fold_trains_the_same_on_what_is_reopened(tmp_path: Path, kind: Any) -> None:
    config, prepared = made(tmp_path, kind)
    found = reopen(sent((config, prepared)), config)
    assert found is not None
    assert trained(found, config) == trained(prepared, config)


@pytest.mark.parametrize("kind", [folder_of_images, frozen])
def test_the_source_is_not_needed(tmp_path: Path, kind: Any) -> None:
    config, prepared = made(tmp_path, kind)
    shutil.rmtree(tmp_path / "data")
    found = reopen(sent((config, prepared)), config)
    assert found is not None
    assert np.isfinite(trained(found, config)).all()


def test_every_variant_of_the_features_is_found_by_its_values(tmp_path: Path) -> None:
    config = config_of(frozen(tmp_path))
    variants = [config.with_values({"train.views": views}) for views in (1, 2)]
    files = sent(*((c, prepare(c, directory=tmp_path / "cache", device=CPU)) for c in variants))
    for config, views in zip(variants, (1, 2), strict=True):
        other_rate = config.with_values({"train.lr": 0.5})
        found = reopen(files, other_rate)
        assert found is not None
        assert found.features is not None
        assert len(found.features) == 1 + views
    assert reopen(files, config.with_values({"train.views": 3})) is None


def test_what_is_sent_holds_neither_pixels_nor_features(tmp_path: Path) -> None:
    config, prepared = made(tmp_path, frozen)
    assert isinstance(prepared.cache.images, np.ndarray)
    assert prepared.features is not None
    data = pickle.dumps(files_of([(config, prepared)]))
    assert prepared.cache.images.tobytes() not in data
    assert prepared.features[0].tobytes() not in data


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_without_the_files_opens_nothing(tmp_path: Path, kind: Any) -> None:
    config, prepared = made(tmp_path, kind)
    shutil.rmtree(tmp_path / "cache")
    assert reopen(sent((config, prepared)), config) is None


def test_a_folder_of_other_images_is_not_opened(tmp_path: Path) -> None:
    config, prepared = made(tmp_path, folder_of_images)
    files = files_of([(config, prepared)])
    assert reopen(files, config) is not None
    assert reopen(files._replace(fingerprint="0" * 64), config) is None
