"""Claims about the model directory: lossless, checked, and without pickle."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hierclf.bundle.directory import (
    SCHEMA,
    load_bundle,
    load_card,
    load_hierarchy,
    save_bundle,
)
from hierclf.bundle.rule_file import save_rule
from hierclf.predict import predict_images
from hierclf.rules.rule import LevelRule, Rule
from tests.tiny_models import HIERARCHY, pictures, sign, tiny_bundle

PREPROCESSING = asdict(tiny_bundle().preprocessing)
FILES = ("bundle.json", "thresholds.json", "model.safetensors", "scores.safetensors")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    save_bundle(tiny_bundle(), tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def message(directory: Path) -> str:
    with pytest.raises(ValueError, match=r".+") as caught:
        load_bundle(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_and_loaded_bundle_predicts_bit_for_bit_the_same(directory: Path) -> None:
    before = predict_images(tiny_bundle(), pictures(12))
    after = predict_images(load_bundle(directory), pictures(12))
    pd.testing.assert_frame_equal(before, after, check_exact=True)
    assert before["subclass"].nunique() > 2


def test_every_part_survives_the_round_trip(directory: Path) -> None:
    before, after = tiny_bundle(), load_bundle(directory)
    assert replace(after, net=before.net, states=before.states) == before
    assert after.states.keys() == before.states.keys()
    for key, array in before.states.items():
        np.testing.assert_array_equal(after.states[key], array)
    for key, tensor in before.net.state_dict().items():
        assert torch.equal(after.net.state_dict()[key], tensor)
    assert load_hierarchy(directory) == HIERARCHY


def test_the_directory_holds_these_files_and_no_drafts(directory: Path) -> None:
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name != "bundle.json"])
def test_a_flipped_byte_is_noticed(directory: Path, name: str) -> None:
    content = bytearray((directory / name).read_bytes())
    content[-1] ^= 1
    (directory / name).write_bytes(content)
    assert name in message(directory)
    assert "checksum" in message(directory)


@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors", "scores.safetensors"])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    assert name in message(directory)


def test_a_newer_schema_is_refused(directory: Path) -> None:
    edit(directory / "bundle.json", schema=SCHEMA + 1)
    assert f"schema must be {SCHEMA}, not {SCHEMA + 1}: update hierclf" in message(directory)


@pytest.mark.parametrize("schema", [SCHEMA - 1, str(SCHEMA), None, True])
def test_an_older_or_senseless_schema_is_refused(directory: Path, schema: Any) -> None:
    edit(directory / "bundle.json", schema=schema)
    assert f"schema must be {SCHEMA}, not {schema!r}: train it again" in message(directory)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"scores": ["msp", "magic"]}, "magic"),
        ({"hierarchy": {}}, "hierarchy"),
        ({"hierarchy": None}, "hierarchy"),
        ({"hierarchy": HIERARCHY.to_dict() | {"novel_sub_id": 2**63}}, "fit into 64 bits"),
        ({"sha256": {}}, "must list the checksum of model.safetensors"),
        ({"sha256": None}, "`sha256` in bundle.json must be an object"),
        ({"preprocessing": {"size": 3}}, "size"),
        ({"preprocessing": PREPROCESSING | {"image_size": 10**9}}, "image_size <= 1024"),
        ({"preprocessing": PREPROCESSING | {"height": 10**9}}, "height * width <= "),
        ({"preprocessing": PREPROCESSING | {"width": "32"}}, "`width` must be an integer >= 1"),
        ({"preprocessing": PREPROCESSING | {"crop_fraction": 0}}, "`crop_fraction` must be in"),
        ({"preprocessing": PREPROCESSING | {"interpolation": "box"}}, "bilinear or bicubic"),
        (
            {"novel_output": True},
            "super_head.weight in model.safetensors must be F32 [3, 128]",
        ),
        ({"novel_output": 1}, "`novel_output` must be of type bool"),
        ({"backbone": ["resnet18"]}, "`backbone` must be of type str"),
        ({"backbone": "resnet18"}, "model.safetensors lacks backbone."),
        ({"scores": "msp"}, "`scores` must be a list"),
        ({"scores": [["msp"]]}, "unhashable"),
        ({"scores": ["msp", "knn", "mahalanobis"]}, "scores.safetensors must fit the network"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    directory: Path, values: dict[str, Any], reason: str
) -> None:
    edit(directory / "bundle.json", **values)
    assert reason in message(directory)
    assert str(directory) in message(directory)


def test_text_that_is_no_json_is_refused(directory: Path) -> None:
    (directory / "bundle.json").write_text("{")
    assert "JSON" in message(directory)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "no folder" in message(tmp_path / "nothing")


def test_a_rule_may_be_replaced_later(directory: Path) -> None:
    rule = Rule(LevelRule("knn", 0.5), LevelRule("msp", 0.25))
    save_rule(directory, rule)
    assert load_bundle(directory).rule == rule


def test_a_rule_on_a_score_that_was_not_fitted_is_refused(directory: Path) -> None:
    for rule in (
        Rule(LevelRule("energy", 0.5), LevelRule("msp", 0.25)),
        Rule(LevelRule("msp", 0.5), LevelRule("msp + sub.energy", 0.25)),
    ):
        save_rule(directory, rule)
        assert "must be among ['msp', 'knn'], not 'energy'" in message(directory)


def test_a_rule_of_sums_survives_and_one_of_another_form_is_refused(directory: Path) -> None:
    rule = Rule(LevelRule("0.52*msp + 0.31*sub.knn", 0.5), LevelRule("2*knn", 0.25))
    save_rule(directory, rule)
    assert load_bundle(directory).rule == load_card(directory).rule == rule
    edit(directory / "thresholds.json", super_score="msp + -1*knn")
    sign(directory)
    assert "`super_score`: a weight must be finite and > 0" in message(directory)


def test_the_card_is_what_the_bundle_says(directory: Path) -> None:
    card, bundle = load_card(directory), load_bundle(directory)
    assert card == (bundle.hierarchy, bundle.scores, bundle.rule, bundle.calibration)
    edit(directory / "thresholds.json", sub_tau=float("nan"))
    sign(directory)
    with pytest.raises(ValueError, match="`sub_tau` must be a finite number, but got nan"):
        load_card(directory)


def test_saving_another_network_leaves_no_old_thresholds(directory: Path) -> None:
    save_bundle(replace(tiny_bundle(), rule=None), directory)
    bundle = load_bundle(directory)
    assert bundle.rule is None
    with pytest.raises(ValueError, match=r"thresholds\.json"):
        predict_images(bundle, pictures(1))


def test_a_bundle_without_score_states_can_be_saved(tmp_path: Path) -> None:
    bundle = replace(
        tiny_bundle(),
        scores=("msp",),
        states={},
        rule=Rule(LevelRule("msp", 0.3), LevelRule("msp", 0.5)),
    )
    save_bundle(bundle, tmp_path)
    assert load_bundle(tmp_path).states == {}
