"""Claims about backbones whose features are square roots."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hierclf.additions.opening import own_backbone
from hierclf.config import parse_config
from hierclf.data.cache import ImageCache, open_cache
from hierclf.nets.backbones import build_backbone
from hierclf.nets.root import signed_root
from hierclf.nets.two_heads import TwoHeadNet
from hierclf.scores import Labels, PretrainedHead, ScoreInputs
from hierclf.scores.pretrained_head import (
    fit_pretrained_kl,
    fit_pretrained_mass,
    score_pretrained_kl,
    score_pretrained_mass,
)
from tests.drawn_scores import drawn, far
from tests.frozen_features import banks, config_of, open_features, write_weights
from tests.layouts import make_source
from tests.tiny_models import tiny_bundle


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "w.safetensors")


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return open_cache(make_source(shape=(20, 20)), size=None, directory=tmp_path)


def test_roots_keep_their_sign_and_square_to_the_size() -> None:
    values = torch.tensor([-4.0, 0.0, 0.25, 9.0])
    assert signed_root(values).tolist() == [-2.0, 0.0, 0.5, 3.0]


@torch.no_grad()
def test_features_are_the_roots_of_those_of_the_backbone_alone(weights: Path) -> None:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain, rooted = (build_backbone(n, str(weights)) for n in ("smallnet", "smallnet+root"))
    expected = plain.module.eval()(images).numpy()
    found = rooted.module.eval()(images).numpy()
    np.testing.assert_allclose(found * np.abs(found), expected, rtol=1e-4, atol=1e-6)
    assert rooted.n_features == plain.n_features


def test_the_bank_holds_the_roots_of_the_plain_one_which_is_used_again(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    plain = open_features(cache, config_of(weights), tmp_path)
    tree = config_of(weights).model_dump()
    tree["model"]["backbone"] = "smallnet+root"
    found = open_features(cache, parse_config(tree), tmp_path)
    np.testing.assert_allclose(found, np.sign(plain) * np.sqrt(np.abs(plain)), rtol=1e-6)
    assert len(banks(tmp_path)) == 2
    assert not found.flags.writeable


def test_backbones_side_by_side_may_have_roots(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    both = "smallnet+root@16:0.8 + smallnet@16:0.8"
    tree = config_of(weights).model_dump()
    tree["model"] |= {"backbone": both, "weights": str(weights)}
    bank = open_features(cache, parse_config(tree), tmp_path)
    backbone = build_backbone(both, str(weights))
    pixels = torch.from_numpy(np.array(cache.images)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = backbone.module.eval()(pixels).numpy()
    np.testing.assert_allclose(bank[0], expected, rtol=1e-3, atol=1e-5)


def test_scores_of_the_pretrained_head_see_the_features_that_it_was_made_for() -> None:
    (train, labels), new = drawn(), far()
    head = train.pretrained_head
    assert head is not None

    def rooted(inputs: ScoreInputs, head: PretrainedHead | None = None) -> ScoreInputs:
        roots = np.sign(inputs.features) * np.sqrt(np.abs(inputs.features))
        return inputs._replace(features=roots, pretrained_head=head)

    roots = rooted(train, head._replace(rooted=True))
    for fit, score in (
        (fit_pretrained_kl, score_pretrained_kl),
        (fit_pretrained_mass, score_pretrained_mass),
    ):
        expected = score(fit(train, labels, "sub"), new, "sub")
        found = score(fit(roots, labels, "sub"), rooted(new), "sub")
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["smallnet", "smallnet+root"])
def test_classes_are_added_with_a_pretrained_head_of_the_same_features(name: str) -> None:
    rng = np.random.default_rng(0)
    backbone, tiny = build_backbone(name, "none"), tiny_bundle()
    weight, bias = (rng.normal(size=size).astype(np.float32) for size in ((7, 128), 7))
    head = PretrainedHead(weight, bias, name.endswith("+root"))
    features = rng.normal(size=(6, 128)).astype(np.float32)
    labels = Labels(np.zeros(6, np.int64), np.arange(6) % 2)
    state = fit_pretrained_mass(ScoreInputs(features, features, features, head), labels, "sub")
    bundle = replace(
        tiny,
        backbone=name,
        net=TwoHeadNet(backbone, tiny.net.heads),
        scores=("msp", "pretrained_mass"),
        states={f"pretrained_mass.{key}": value for key, value in state.items()},
    )
    found = own_backbone(bundle, parse_config({})).pretrained_head
    assert found is not None
    assert found.rooted == head.rooted
    np.testing.assert_array_equal(found.weight, weight)


def test_a_network_that_is_trained_has_no_roots() -> None:
    wanted = r"a backbone with \+root needs freeze=backbone: .* but got freeze=none$"
    with pytest.raises(ValueError, match=wanted):
        parse_config({"model": {"backbone": "resnet50+root"}})
