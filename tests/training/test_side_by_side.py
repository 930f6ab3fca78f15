"""Claims about several backbones side by side: their configuration, banks, model and errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from hierclf.additions.fitted import fit_heads
from hierclf.additions.grow import write_model
from hierclf.bundle.directory import load_bundle
from hierclf.commands.backbone_cost import cost_note, several_of
from hierclf.commands.export import export_model
from hierclf.config import Config, parse_config
from hierclf.data.cache import ImageCache
from hierclf.nets.backbones import build_backbone
from hierclf.nets.side_by_side import members_of
from hierclf.predict import network_outputs
from hierclf.training.features import open_features
from hierclf.training.prepare import configured_hidden, prepare
from hierclf.training.trained_bundle import bundle_from_run

CPU = torch.device("cpu")
NAMES = ["smallnet", "test_byobnet"]
TRAIN = {"views": 1, "epochs": 1, "strength": 0.5}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name in NAMES:
        state = build_backbone(name, "none").module.state_dict()
        safetensors.torch.save_file(state, folder / f"{name}.safetensors")
    return [str(folder / f"{name}.safetensors") for name in NAMES]


def config_of(model: dict[str, Any]) -> Config:
    whole = {"freeze": "backbone", "image_size": [32, 48], "crop_fraction": 0.8} | model
    return parse_config(
        {
            "model": whole,
            "train": TRAIN,
            "folds": {"sub": 2, "super": 1},
            "thresholds": {"scores": ["msp", "knn"]},
            "search": {"trials": 0, "space": {}},
        }
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def written(weights: list[str], directory: Path) -> tuple[Path, ImageCache, np.ndarray]:
    config = config_of({"backbone": NAMES, "weights": weights})
    prepared = prepare(config, directory=directory, device=CPU)
    assert prepared.features is not None
    parts = configured_hidden(prepared.cache.hierarchy, config).parts
    fitted = fit_heads(prepared, config, parts, [])
    bundle = bundle_from_run(fitted.run, fitted.states)
    write_model(directory / "model", bundle, fitted, None)
    return directory / "model", prepared.cache, prepared.features


def test_lists_become_one_text_that_names_each_view() -> None:
    model = config_of({"backbone": NAMES, "weights": ["a", "b"]}).model
    assert model.backbone == "smallnet@32:0.8 + test_byobnet@48:0.8"
    assert model.weights == "a + b"
    assert [tuple(named) for named in members_of(model.backbone)] == [
        ("smallnet", 32, 0.8),
        ("test_byobnet", 48, 0.8),
    ]
    again = parse_config({"model": model.model_dump()}).model
    assert again == model


def test_each_backbones_bank_is_the_one_that_it_has_alone(
    weights: list[str], written: tuple[Path, ImageCache, np.ndarray], directory: Path
) -> None:
    _, cache, joined = written
    banks = sorted(directory.glob("features-*.npy"))
    assert len(banks) == 3, "two of a backbone alone, one of both"
    start, length = 0, ((128 + 256) / 2) ** 0.5
    for name, size, file in zip(NAMES, (32, 48), weights, strict=True):
        config = config_of({"backbone": name, "weights": file, "image_size": size})
        backbone = build_backbone(name, file)
        alone = open_features(cache, config, backbone, directory=directory, device=CPU)
        mine = joined[:, :, start : start + alone.shape[2]]
        norms = np.sqrt((alone.astype(np.float64) ** 2).sum(axis=2, keepdims=True))
        np.testing.assert_allclose(mine, length * alone / norms, rtol=1e-5, atol=1e-6)
        start += alone.shape[2]
    assert sorted(directory.glob("features-*.npy")) == banks, "nothing was computed again"


def test_the_written_model_gives_the_features_that_its_heads_were_trained_on(
    written: tuple[Path, ImageCache, np.ndarray],
) -> None:
    folder, cache, joined = written
    bundle = load_bundle(folder)
    several = several_of(bundle)
    assert several is not None
    assert cost_note(several) is None
    assert isinstance(cache.images, np.ndarray)
    found = network_outputs(bundle, np.array(cache.images[:7]), CPU)
    np.testing.assert_allclose(found.features, joined[0, :7], rtol=1e-4, atol=1e-4)
    note = cost_note(several)
    assert note is not None
    assert note.startswith("measured per image: smallnet ")


def test_such_a_model_is_not_exported(
    written: tuple[Path, ImageCache, np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="of several backbones cannot be exported"):
        export_model(load_bundle(written[0]), tmp_path / "exported")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"backbone": ["smallnet"]}, "must hold 2 names or more, but got"),
        ({"backbone": NAMES, "weights": ["a"]}, "one for each of the 2 backbones, but got"),
        ({"backbone": NAMES, "image_size": [32, 8.5]}, "image_size of several .* must not be 8.5"),
        ({"backbone": NAMES, "weights": ["a", "none"]}, "needs weights other than none"),
        ({"backbone": NAMES, "weights": "a", "freeze": "none"}, "need freeze=backbone"),
    ],
)
def test_a_wrong_list_is_one_line(model: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        config_of(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a@224:1 + b", "a@4:1 + b@224:1", "a@224:0 + b@224:1", "a + "])
def test_a_text_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be NAME@SIZE:CROP"):
        build_backbone(name, "none")


def test_a_member_that_cannot_be_built_is_named_in_one_line(weights: list[str]) -> None:
    with pytest.raises(ValueError, match="nothing") as caught:
        build_backbone("smallnet@32:1 + nothing@32:1", f"{weights[0]} + none")
    assert "\n" not in str(caught.value)


def test_a_search_does_not_vary_the_views_of_several() -> None:
    tree = config_of({"backbone": NAMES, "weights": "a"}).model_dump()
    tree["search"] = {"space": {"model.image_size": {"choices": [32, 48]}}}
    with pytest.raises(ValueError, match=r"cannot vary model.image_size of several backbones"):
        parse_config(tree)


def test_a_score_of_the_published_head_is_refused_since_there_are_several(
    weights: list[str], directory: Path
) -> None:
    tree = config_of({"backbone": NAMES, "weights": weights}).model_dump()
    tree["thresholds"] = {"scores": ["msp", "pretrained_kl"]}
    with pytest.raises(ValueError, match="pretrained_kl needs a single backbone") as caught:
        prepare(parse_config(tree), directory=directory, device=CPU)
    assert "\n" not in str(caught.value)
