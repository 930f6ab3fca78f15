"""Claims about `hierclf predict --explain`: further columns on demand, those of explanations."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import hierclf
from hierclf.explanations.columns import COLUMNS as EXPLAINING
from hierclf.rules.answers import COLUMNS
from hierclf.rules.rule import LevelRule, Rule
from tests.commands_run import error_of, run
from tests.tiny_models import pictures, save_tiny_model

FUSED = Rule(LevelRule("0.5*msp + 2*knn", 2.08), LevelRule("0.25*super.msp + 0.5*msp + knn", 1.27))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model", FUSED)
    return tmp_path / "model"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for name, data in pictures(24):
        (folder / name).write_bytes(data)
    (folder / "torn.png").write_bytes(pictures(1)[0][1][:1500])
    return folder


def predicted(model: Path, images: Path, *options: object) -> pd.DataFrame:
    out = model.parent / "out.parquet"
    run("predict", model, images, "--out", out, "--batch-size", 7, *options)
    return pd.read_parquet(out)


def test_the_further_columns_are_what_explanations_say(model: Path, images: Path) -> None:
    table = predicted(model, images, "--explain")
    assert tuple(table.columns) == (*COLUMNS, *EXPLAINING)
    explained = hierclf.load(model, device="cpu").explain(images, batch_size=7)
    readable = [explanation for explanation in explained if explanation["error"] is None]
    assert len(table) == len(readable) == 24
    for row, explanation in zip(table.to_dict("records"), readable, strict=True):
        sup, sub, near = explanation["super"], explanation["sub"], explanation["neighbours"]
        assert sup is not None
        assert sub is not None
        assert near is not None
        implied = sup["margin"] > 0 >= sub["margin"]
        assert row["super_decided_by"] == sup["terms"][0]["name"]
        assert row["sub_decided_by"] == ("super-class" if implied else sub["terms"][0]["name"])
        assert row["super_margin"] == np.float32(sup["margin"])
        assert row["sub_margin"] == np.float32(sub["margin"])
        assert row["nearest_superclass"] == sup["nearest"]
        assert row["nearest_subclass"] == sub["nearest"]
        assert row["nearest_image"] == near[0]["image"]
    assert {"super-class"} < set(table["sub_decided_by"])
    assert table["super_decided_by"].nunique() == 2


def test_without_the_option_the_table_is_as_it_was(model: Path, images: Path) -> None:
    without = predicted(model, images)
    assert tuple(without.columns) == COLUMNS
    explained = predicted(model, images, "--explain")
    pd.testing.assert_frame_equal(explained[list(COLUMNS)], without, check_exact=True)


def test_csv_and_parquet_hold_the_same(model: Path, images: Path) -> None:
    table = predicted(model, images, "--explain")
    out = model.parent / "out.csv"
    run("predict", model, images, "--out", out, "--batch-size", 7, "--explain")
    numbers = dict.fromkeys([*COLUMNS[5:], "super_margin", "sub_margin"], "float32")
    pd.testing.assert_frame_equal(pd.read_csv(out, dtype=numbers), table, check_exact=True)


def test_an_old_directory_lacks_the_nearest_image_and_one_line_says_so(
    model: Path, images: Path
) -> None:
    (model / "training_images.parquet").unlink()
    out = model.parent / "out.parquet"
    result = run("predict", model, images, "--out", out, "--explain")
    lines = [line for line in result.stderr.splitlines() if line.startswith("missing: ")]
    assert lines == [
        "missing: the nearest training images have no names: "
        f"{model} has no training_images.parquet"
    ]
    table = pq.read_table(out)
    assert table["nearest_image"].null_count == len(table) == 24
    assert table["super_decided_by"].null_count == 0


def test_a_submission_has_no_further_columns(model: Path, images: Path) -> None:
    assert "--explain needs --format table, but got --format submission" in error_of(
        "predict",
        *(model, images, "--out", model.parent / "out.csv"),
        *("--explain", "--format", "submission"),
    )
