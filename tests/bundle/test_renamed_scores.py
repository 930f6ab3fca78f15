"""Claims about model directories that were written when two scores had other names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hierclf.bundle.directory import Bundle, load_bundle, save_bundle
from hierclf.bundle.score_table_file import load_score_table, save_score_table
from hierclf.predict import predict_images
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable
from tests.tiny_models import pictures, sign, tiny_bundle, tiny_table

RULE = Rule(LevelRule("0.5*pretrained_mass + msp", 0.7), LevelRule("super.pretrained_mass", 0.5))


def with_pretrained_mass() -> Bundle:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, 128)).astype(np.float32)
    state: dict[str, np.ndarray] = {
        "weight": weight,
        "bias": np.zeros(5),
        "used": np.linspace(0, 1, 5),
    }
    arrays = {f"pretrained_mass.{key}": value.astype(np.float32) for key, value in state.items()}
    return replace(tiny_bundle(RULE), scores=("msp", "pretrained_mass"), states=arrays)


def make_old(directory: Path) -> None:
    """Put the former name into all that names a score."""
    old, new = "prior_mass", "pretrained_mass"
    for name in ("bundle.json", "thresholds.json"):
        path = directory / name
        path.write_text(path.read_text().replace(new, old))
    table = pq.read_table(directory / "score_table.parquet")
    renamed = table.rename_columns([column.replace(new, old) for column in table.column_names])
    renamed = renamed.replace_schema_metadata(table.schema.metadata)
    pq.write_table(renamed, directory / "score_table.parquet")
    sign(directory)


@pytest.fixture
def old_model(tmp_path: Path) -> Path:
    bundle = with_pretrained_mass()
    former = {key.replace("pretrained_mass", "prior_mass"): a for key, a in bundle.states.items()}
    save_bundle(replace(bundle, states=former), tmp_path)
    scored = tiny_table().rename(columns=lambda name: name.replace("knn", "pretrained_mass"))
    save_score_table(tmp_path, ScoreTable(scored), [0, 1, 0, 1])
    make_old(tmp_path)
    assert "prior_mass" in json.loads((tmp_path / "bundle.json").read_text())["scores"]
    return tmp_path


def test_a_model_with_a_former_score_name_predicts_as_before_and_says_the_new_one(
    old_model: Path,
) -> None:
    with pytest.warns(FutureWarning, match="'prior_mass' is now called 'pretrained_mass'"):
        bundle = load_bundle(old_model)
    assert bundle.rule == RULE
    expected = predict_images(with_pretrained_mass(), pictures(4))
    pd.testing.assert_frame_equal(predict_images(bundle, pictures(4)), expected)


@pytest.mark.filterwarnings("ignore:the score 'prior_mass'")
def test_its_score_table_is_read_under_the_new_name(old_model: Path) -> None:
    table = load_score_table(old_model).table
    np.testing.assert_array_equal(table.score("sub", "pretrained_mass"), tiny_table()["sub_knn"])
    assert not any("prior" in str(name) for name in table.frame)
