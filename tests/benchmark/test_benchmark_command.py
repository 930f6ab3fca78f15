"""The benchmark as people run it, on the demo set with networks trained for a moment."""

from pathlib import Path

import pandas as pd
import pytest

from hierclf.benchmark.__main__ import app
from hierclf.rules.decoding import DECODINGS
from hierclf.rules.normalisation import NORMALISATIONS

pytestmark = pytest.mark.slow
SCORES = ("msp", "energy", "knn")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmark")
    settings = ["model.image_size=32", "train.epochs=1", "folds.sub=2", "folds.super=1"]
    settings += ["folds.mixed=1", f"thresholds.scores=[{','.join(SCORES)}]"]
    given = [word for setting in settings for word in ("--set", setting)]
    config = Path(__file__).parents[2] / "configs" / "demo.yaml"
    words = ["scores", "--config", str(config), *given, "--seeds", "2", "--seen", "0.99"]
    app([*words, "--out", str(out)], standalone_mode=False)
    return out


@pytest.fixture(scope="module")
def rows(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "benchmark.csv")


def test_the_papers_rule_comes_first_and_the_constant_predictions_are_there(
    rows: pd.DataFrame,
) -> None:
    assert rows["rule"].iloc[0] == "paper's rule"
    always = rows[rows["rule"] == "always novel"]
    assert (always["sub_unseen"] == 1.0).all()
    assert (always["sub_seen"] == 0.0).all()
    assert (rows[rows["rule"] == "never novel"]["super_unseen"] == 0.0).all()


def test_every_score_decoding_normalisation_and_goal_has_rows_of_every_seed(
    rows: pd.DataFrame,
) -> None:
    for name in (*SCORES, "fused score"):
        mine = rows[rows["rule"] == name]
        assert set(mine["goal"]) == {"balanced", "overall at 0.5 novel", "seen at least 0.99"}
        assert set(mine["seed"]) == {0, 1}
    both = rows[rows["rule"] == "fused score"]
    assert set(both["decoding"].dropna()) == set(DECODINGS)
    assert set(both["normalisation"].dropna()) == set(NORMALISATIONS)


def test_a_goal_out_of_reach_is_a_note_and_not_the_end(rows: pd.DataFrame) -> None:
    unreached = rows[rows["goal"] == "seen at least 0.99"]
    assert unreached["note"].str.contains("must be reached by some").all()


def test_heads_apart_may_contradict_each_other_and_a_masked_sub_head_never_does(
    rows: pd.DataFrame,
) -> None:
    by_decoding = rows[rows["rule"] == "fused score"].groupby("decoding")["consistency"].min()
    assert by_decoding["top-down"] == by_decoding["joint"] == 1.0
    assert by_decoding["independent"] < 1.0


def test_the_table_and_the_plot_are_written(folder: Path) -> None:
    text = (folder / "benchmark.md").read_text()
    first = next(line for line in text.splitlines() if line.startswith("| paper"))
    assert "±" in first
    assert (folder / "benchmark.png").read_bytes().startswith(b"\x89PNG")
