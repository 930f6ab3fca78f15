"""Claims about `hierclf thresholds`: what it chooses, says and writes, and when it does not."""

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.bundle.score_table_file import StoredTable, save_score_table
from hierclf.commands.thresholds import (
    _judged_by_others,
    choice_notes,
    choice_table,
    choose_thresholds,
)
from hierclf.metrics.accuracy import constant_answers
from hierclf.rules.calibration import Calibration
from hierclf.rules.cross_fit import cross_fit
from hierclf.rules.fusion import best_combination
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.rule import evaluate_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import PARTS, draw_table
from tests.test_cli import error_of, run
from tests.tiny_models import save_tiny_model, sign, tiny_table

SINGLE = ("msp", "knn")
TINY_PARTS = np.array([0, 1, 0, 1])
FOLDS = ["sub0", "sub1", "super0", "super1"]
AT_80 = Goal("seen-at-least", seen=0.8)
GOALS = (BALANCED, Goal("overall", novel_rate=0.2), AT_80)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("goal", GOALS)
def test_the_rule_is_the_exact_best_and_the_figures_are_cross_fitted(
    model: Path, goal: Goal
) -> None:
    choice = choose_thresholds(model, goal)
    table = tiny_table()
    assert choice.rule == best_combination(ScoreTable(table), SINGLE, goal=goal).rule
    fitted = cross_fit(
        ScoreTable(table), TINY_PARTS, SINGLE, FOLDS, choose=partial(best_combination, goal=goal)
    )
    assert choice.expected == fitted.accuracies
    assert choice.expected != evaluate_rule(ScoreTable(table), choice.rule)
    constants = constant_answers(*ScoreTable(table).targets, table["super_pred"], table["sub_pred"])
    assert choice.always_novel == constants["always_novel"]
    assert choice.never_novel == constants["never_novel"]
    for key, interval in choice.intervals.items():
        value = choice.expected[key]
        assert interval is not None
        assert value is not None
        assert interval[0] <= value <= interval[1]
    assert choice == choose_thresholds(model, goal)


def test_rows_that_may_not_report_choose_but_are_in_no_figure(model: Path) -> None:
    table = tiny_table()
    report = ((table["fold"] != "sub0") & (TINY_PARTS[table["sub_label"]] != 0)).to_numpy()
    save_score_table(model, ScoreTable(table), TINY_PARTS, report=report)
    choice = choose_thresholds(model, BALANCED)
    assert choice.rule == best_combination(ScoreTable(table), SINGLE).rule
    constants = constant_answers(
        *ScoreTable(table[report]).targets, table["super_pred"][report], table["sub_pred"][report]
    )
    assert choice.never_novel == constants["never_novel"]
    save_score_table(model, ScoreTable(table), TINY_PARTS, report=np.zeros(len(table), bool))
    with pytest.raises(ValueError, match="rows that may report, but got none"):
        choose_thresholds(model, BALANCED)


def test_twenty_thousand_rows_of_twelve_scores_take_seconds() -> None:
    table = draw_table(20_000)
    for level in ("super", "sub"):
        for i in range(8):
            noise = np.random.default_rng(i).normal(0, 0.02, len(table))
            table[f"{level}_near{i}"] = (table[f"{level}_knn"] + noise).astype(np.float32)
    scores = ["msp", "max_logit", "energy", "knn", *(f"near{i}" for i in range(8))]
    started = time.monotonic()
    best_combination(ScoreTable(table), scores)
    _judged_by_others(
        StoredTable(ScoreTable(table), PARTS, np.ones(len(table), bool)), scores, BALANCED
    )
    assert time.monotonic() - started < 60


def test_the_command_shows_the_figures_and_replaces_the_thresholds(model: Path) -> None:
    files = {path: path.read_bytes() for path in model.iterdir()}
    result = run("thresholds", model, "--goal", "seen-at-least", "--seen", 0.8)
    choice = choose_thresholds(model, AT_80)
    assert load_bundle(model).rule == choice.rule
    content = json.loads((model / "thresholds.json").read_text())
    assert list(content) == ["super_score", "super_tau", "sub_score", "sub_tau", "calibration"]
    # The network's temperatures stay; the curves are those of the new scores.
    assert content["calibration"]["super"]["temperature"] == 2.0
    assert Calibration.from_dict(content["calibration"]) == choice.calibration
    for words in ("expected", "95 % interval", "always novel", "never novel", "sub harmonic"):
        assert words in result.stdout
    for key, value in choice.expected.items():
        assert value is not None
        row = next(row for row in result.stdout.splitlines() if key.replace("_", " ") in row)
        assert f"{100 * value:.2f}" in row
    assert f"wrote {model / 'thresholds.json'}" in result.stdout
    assert f"hierclf predict {model} IMAGES --out predictions.csv" in result.stdout
    after = {path: path.read_bytes() for path in model.iterdir()}
    assert after.keys() == files.keys()
    changed = {path.name for path in files if files[path] != after[path]}
    assert changed == {"thresholds.json", "bundle.json"}  # its checksum stands in the latter


def test_a_model_without_thresholds_gets_some(model: Path) -> None:
    (model / "thresholds.json").unlink()
    run("thresholds", model)
    assert load_card(model).rule == best_combination(ScoreTable(tiny_table()), SINGLE).rule


def test_a_dry_run_writes_nothing(model: Path) -> None:
    before = (model / "thresholds.json").read_bytes()
    result = run("thresholds", model, "--goal", "overall", "--novel-rate", 0.1, "--dry-run")
    assert "where 10 % of the images are novel" in result.stdout
    assert "wrote" not in result.stdout
    assert (model / "thresholds.json").read_bytes() == before


def test_nothing_is_written_on_any_mistake(model: Path, tmp_path: Path) -> None:
    path, table = model / "thresholds.json", model / "score_table.parquet"
    before, whole = path.read_bytes(), table.read_bytes()
    at_least = ("--goal", "seen-at-least", "--seen")
    assert "`0 < novel_rate < 1` must hold, but got novel_rate=1.5" in error_of(
        "thresholds", model, "--goal", "overall", "--novel-rate", 1.5
    )
    assert "`novel_rate` must be given" in error_of("thresholds", model, "--goal", "overall")
    assert "seen=0.9 with 'balanced'" in error_of("thresholds", model, "--seen", 0.9)
    assert "at the super level the highest seen accuracy is 0.9792" in error_of(
        "thresholds", model, *at_least, 0.999
    )
    assert "is no folder" in error_of("thresholds", tmp_path / "gone")
    table.write_bytes(whole[:100])
    assert "must be a score table of its model" in error_of("thresholds", model)
    table.unlink()
    assert "must be there to choose thresholds on" in error_of("thresholds", model)
    table.write_bytes(whole)
    assert path.read_bytes() == before
    path.write_text(before.decode().replace("0.3", "NaN"))
    sign(model)
    assert "`super_tau` must be a finite number, but got nan" in error_of("thresholds", model)
    assert "NaN" in path.read_text()


def test_a_goal_that_some_classes_alone_make_reachable_is_refused() -> None:
    table = draw_table(1500, seed=4)
    # Only the classes of part 0 are always right: without them the goal is out of reach.
    easy = table["sub_known"] & (PARTS[table["sub_label"]] == 0)
    hard = table["sub_known"] & ~easy
    table.loc[easy, "sub_pred"] = table["sub_label"][easy]
    table.loc[hard, "sub_pred"] = (table["sub_label"][hard] + hard[hard].cumsum() % 2) % 24
    known = table[table["sub_known"]]
    highest = (known["sub_pred"] == known["sub_label"]).mean()
    goal = Goal("seen-at-least", seen=float(highest))
    everything = StoredTable(ScoreTable(table), PARTS, np.ones(len(table), bool))
    best_combination(ScoreTable(table), ["knn"], goal=goal)
    with pytest.raises(ValueError, match="leaves some classes out, and then `seen` must be reach"):
        _judged_by_others(everything, ["knn"], goal)


def test_seen_accuracy_that_is_below_on_other_classes_is_said(model: Path) -> None:
    choice = choose_thresholds(model, AT_80)
    low = choice._replace(expected=choice.expected | {"sub_seen": 0.7654, "super_seen": 0.9})
    notes = "\n".join(choice_notes(low))
    assert "sub seen is reached" in notes
    assert "expected to be 76.54 %, below 80 %" in notes
    assert "super seen" not in notes


def test_a_part_without_rows_is_a_dash(model: Path) -> None:
    table = tiny_table().query("super_known").reset_index(drop=True)
    save_score_table(model, ScoreTable(table), TINY_PARTS)
    choice = choose_thresholds(model, BALANCED)
    assert choice.expected["super_unseen"] is choice.intervals["super_unseen"] is None
    cells = pd.DataFrame(
        {column.header: list(column.cells) for column in choice_table(choice).columns}
    )
    row = cells.set_index("accuracy, %").loc["super unseen"]
    assert row.tolist() == ["-", "-", "-", "-"]
