"""A repository's folder is the model, and its card is one that the Hub reads."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.hub.card import Listed, hub_card
from hierclf.hub.folder import write_folder
from hierclf.model import load
from hierclf.reports.model_card import Facts
from hierclf.reports.promise_table import PROMISE_ROWS
from hierclf.rules.figures import Figure, Promise
from hierclf.rules.rule import LevelRule, Rule
from tests.commands_run import error_of, run
from tests.tiny_models import HIERARCHY, TRAINING_IMAGES, pictures, save_tiny_model

RULE = Rule(LevelRule("msp", 0.25), LevelRule("knn", 1.5))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_from_the_folder_predicts_the_same_to_the_bit(
    directory: Path, tmp_path: Path
) -> None:
    model = load(directory, device="cpu").with_thresholds(super_tau=0.31)
    model.save_pretrained(tmp_path / "folder")
    again = load(tmp_path / "folder", device="cpu")
    images = [data for _, data in pictures(12)]
    pd.testing.assert_frame_equal(again.predict(images), model.predict(images), check_exact=True)
    pd.testing.assert_frame_equal(again.scores(images), model.scores(images), check_exact=True)
    assert again.thresholds == model.thresholds
    run("thresholds", tmp_path / "folder", "--dry-run")  # the held-out scores came along


def test_no_name_of_a_training_image_is_in_the_folder(directory: Path, tmp_path: Path) -> None:
    (directory / "training.json").write_text('{"data": "/home/somebody/private"}')
    write_folder(load(directory, device="cpu").bundle, tmp_path / "folder")
    found = {file.name: file.read_bytes() for file in (tmp_path / "folder").iterdir()}
    assert set(found) == {
        *("README.md", "config.json", "bundle.json", "thresholds.json"),
        *("model.safetensors", "scores.safetensors", "score_table.parquet"),
    }
    for name in (*TRAINING_IMAGES, "/home/somebody"):
        assert not [file for file, data in found.items() if name.encode() in data]


def test_the_hubs_own_reader_finds_license_and_promised_figures() -> None:
    hub = pytest.importorskip("huggingface_hub")
    promise: Promise = {
        key: None if key == "super_unseen" else Figure(0.1 * i, 0.05 * i, 0.12 * i)
        for i, key in enumerate(PROMISE_ROWS, start=1)
    }
    facts = Facts("pets", 12, HIERARCHY, "net at 64 px", RULE, promise, [], "predict")
    card = hub.ModelCard(hub_card(facts, Listed("a: tiny 'model'", "mit", "Pets: 2")))
    assert card.data.license == "mit"
    assert card.data.library_name == "hierclf"
    assert card.data.model_name == "a: tiny 'model'"
    results = card.data.eval_results
    keys = [key for key in PROMISE_ROWS if key != "super_unseen"]
    wanted = [10.0 * (1 + list(PROMISE_ROWS).index(key)) for key in keys]
    np.testing.assert_allclose([result.metric_value for result in results], wanted)
    assert {result.dataset_name for result in results} == {"Pets: 2"}
    assert {result.dataset_type for result in results} == {"pets-2"}
    assert results[1].metric_name.startswith("super-class: new sub-class of a known one")
    assert "Expected on new images" in card.text


def test_a_card_promises_nothing_that_is_not_known(directory: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    (directory / "score_table.parquet").unlink()
    write_folder(load(directory, device="cpu").bundle, tmp_path / "folder")
    card = hub.ModelCard.load(tmp_path / "folder" / "README.md")
    assert card.data.eval_results is None
    assert card.data.license is None
    assert "| right |" not in card.text
    assert "- data" not in card.text


def test_the_command_says_how_to_upload_and_mistakes_are_one_line(
    directory: Path, tmp_path: Path
) -> None:
    huggingface = ("--format", "huggingface", "--license", "mit")
    result = run("export", directory, tmp_path / "folder", *huggingface)
    assert f"hf upload OWNER/NAME {tmp_path / 'folder'}" in result.stdout
    assert "license: mit" in (tmp_path / "folder" / "README.md").read_text()
    exists = error_of("export", directory, tmp_path / "folder", *huggingface)
    assert "must not exist" in exists
    assert "--license needs" in error_of("export", directory, tmp_path / "x", "--license", "mit")
