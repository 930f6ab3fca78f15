"""Claims about `hierclf thresholds`: what it chooses, says and writes, and when it does not."""

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.bundle.score_table_file import save_score_table
from hierclf.commands.thresholds import choice_notes, choose_thresholds
from hierclf.rules.calibration import Calibration
from hierclf.rules.choose import choose_rule
from hierclf.rules.figures import Figure, Mix
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.score_table import ScoreTable
from tests.commands_run import error_of, run
from tests.drawn_tables import PARTS, draw_table
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
def test_the_rule_is_the_chosen_one_and_the_figures_are_cross_fitted(
    model: Path, goal: Goal
) -> None:
    choice = choose_thresholds(model, goal)
    table = ScoreTable(tiny_table())
    assert choice.rule == choose_rule(table, SINGLE, goal=goal).rule
    novel = 0.5 if goal.novel_rate is None else goal.novel_rate
    expected = cross_fitted_promise(
        table,
        TINY_PARTS,
        np.ones(len(table), bool),
        SINGLE,
        goal=goal,
        mix=Mix(super_novel=novel, sub_novel=novel),
    )
    assert choice.expected.figures == expected.figures
    for figure in choice.expected.figures.values():
        assert figure is not None
        assert figure.low <= figure.expected <= figure.high


def test_thresholds_are_replaced_although_nobody_reads_the_output(model: Path) -> None:
    words = [sys.executable, "-m", "hierclf.cli", "thresholds", str(model), "--goal", "overall"]
    before = load_card(model).rule
    done = subprocess.run(
        ["bash", "-c", '"$@" > /dev/full', "bash", *words, "--novel-rate", "0.2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == "hierclf: error: standard output: No space left on device\n"
    assert load_card(model).rule != before


def test_thresholds_stay_while_the_search_of_the_model_is_at_work(model: Path) -> None:
    lock = model.parent / ".lock"
    lock.write_text("process 7 on host3\n")
    options = ("--goal", "overall", "--novel-rate", "0.2")
    before = load_card(model).rule
    with lock.open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        assert f"{model.parent} is in use by process 7 on host3" in error_of(
            "thresholds", model, *options
        )
        run("thresholds", model, *options, "--dry-run")
        assert load_card(model).rule == before
    run("thresholds", model, *options)
    assert load_card(model).rule != before


def test_undo_puts_back_the_former_thresholds_and_a_second_one_the_later(model: Path) -> None:
    file = model / "thresholds.json"
    first = json.loads(file.read_text())
    assert "were never changed" in error_of("thresholds", model, "--undo")
    run("thresholds", model, "--super-tau", "0.9", "--sub-tau", "0.8")
    later = json.loads(file.read_text())
    assert later["super_tau"] == 0.9
    assert "--undo puts back" in run("thresholds", model, "--undo").stdout
    assert json.loads(file.read_text()) == first
    assert load_bundle(model).rule == load_card(model).rule  # its checksum is listed
    run("thresholds", model, "--undo")
    assert json.loads(file.read_text()) == later
    assert "given alone" in error_of("thresholds", model, "--undo", "--dry-run")
    (model / "thresholds.former.json").write_text('{"super_tau": "x"}')
    error_of("thresholds", model, "--undo")
    assert json.loads(file.read_text()) == later


def test_rows_that_may_not_report_choose_but_are_in_no_figure(model: Path) -> None:
    table = tiny_table()
    report = ((table["fold"] != "sub0") & (TINY_PARTS[table["sub_label"]] != 0)).to_numpy()
    save_score_table(model, ScoreTable(table), TINY_PARTS, report=report)
    choice = choose_thresholds(model, BALANCED)
    assert choice.rule == choose_rule(ScoreTable(table), SINGLE).rule
    assert len(choice.expected.rows) == report.sum()
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
    cross_fitted_promise(ScoreTable(table), PARTS, np.ones(len(table), bool), scores)
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
    for words in ("expected on new images", "90 % interval", "new super-class: novel"):
        assert words in result.stdout
    for key in ("super_seen_known", "super_unseen", "sub_unseen_near", "sub_harmonic"):
        figure = choice.expected.figures[key]
        assert figure is not None
        assert f"{100 * figure.expected:.1f}" in result.stdout
        assert f"{100 * figure.low:.0f} to {100 * figure.high:.0f}" in result.stdout
    assert "2 super-classes could be held out" in result.stdout.replace("\n", " ")
    assert f"wrote {model / 'thresholds.json'}" in result.stdout
    assert f"hierclf predict {model} IMAGES --out predictions.csv" in result.stdout
    after = {path: path.read_bytes() for path in model.iterdir()}
    assert after.keys() == {*files, model / "thresholds.former.json"}
    changed = {path.name for path in files if files[path] != after[path]}
    assert changed == {"thresholds.json", "bundle.json"}  # its checksum stands in the latter


def test_a_model_without_thresholds_gets_some(model: Path) -> None:
    (model / "thresholds.json").unlink()
    run("thresholds", model)
    assert load_card(model).rule == choose_rule(ScoreTable(tiny_table()), SINGLE).rule


def test_json_has_thresholds_and_figures_for_programs(model: Path, tmp_path: Path) -> None:
    before, out = load_card(model).rule, tmp_path / "choice.json"
    choice = choose_thresholds(model, AT_80)
    run("thresholds", model, "--goal", "seen-at-least", "--seen", "0.8", "--json", out)
    content = json.loads(out.read_text())
    unused = {"novel_rate": None, "super_novel_rate": None}
    assert content["goal"] == {"kind": "seen-at-least", "seen": 0.8, **unused}
    assert before is not None
    assert content["before"] == before.to_dict()
    rule = load_card(model).rule
    assert rule is not None
    assert content["thresholds"] == rule.to_dict()
    for key, figure in choice.expected.figures.items():
        assert figure is not None
        assert content["expected"][key] == figure._asdict()


def test_a_json_file_that_cannot_be_written_is_refused_before_the_thresholds(
    model: Path, tmp_path: Path
) -> None:
    before = (model / "thresholds.json").read_bytes()
    for words in (["--json", tmp_path / "no" / "a.json"], ["--json", "a.txt"]):
        assert "--json must" in error_of("thresholds", model, *words)
    assert "--undo must be given alone" in error_of(
        "thresholds", model, "--undo", "--json", "a.json"
    )
    assert (model / "thresholds.json").read_bytes() == before


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
    assert "at the super level the highest seen accuracy is 0.9781" in error_of(
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


def test_a_goal_that_some_classes_alone_make_reachable_is_refused(model: Path) -> None:
    table = tiny_table()
    # Only the sub-classes of part 0 are ever right: without them the goal is out of reach.
    easy = table["sub_known"] & (TINY_PARTS[table["sub_label"]] == 0)
    table["sub_pred"] = np.where(easy, table["sub_label"], (table["sub_label"] + 1) % 4)
    save_score_table(model, ScoreTable(table), TINY_PARTS)
    with pytest.raises(ValueError, match="leaves some classes out, and then `seen` must be reach"):
        choose_thresholds(model, Goal("seen-at-least", seen=0.3))


def test_seen_accuracy_that_is_below_on_other_classes_is_said(model: Path) -> None:
    choice = choose_thresholds(model, AT_80)
    figures = choice.expected.figures | {
        "sub_seen": Figure(0.7654, 0.7, 0.8),
        "super_seen": Figure(0.9, 0.8, 0.95),
    }
    notes = "\n".join(
        choice_notes(choice._replace(expected=choice.expected._replace(figures=figures)))
    )
    assert "sub seen is reached" in notes
    assert "expected to be 76.5 %, below 80 %" in notes
    assert "super seen" not in notes


def test_a_level_that_could_not_be_judged_is_a_dash(model: Path) -> None:
    table = tiny_table().query("super_known").reset_index(drop=True)
    save_score_table(model, ScoreTable(table), TINY_PARTS)
    assert choose_thresholds(model, BALANCED).expected.figures["super_unseen"] is None
    shown = run("thresholds", model, "--dry-run").stdout
    (line,) = (
        line
        for line in shown.splitlines()
        if "new super-class: novel" in line and "new, " not in line
    )
    assert line.split()[-2:] == ["-", "-"]
    assert "no super-class could be held out" in shown


def test_the_registered_version_is_named_with_the_command_that_registers_the_new_thresholds(
    tmp_path: Path,
) -> None:
    run_folder = tmp_path / "my results" / "runs" / "one"
    save_tiny_model(run_folder / "model")
    assert "registry" not in run("thresholds", run_folder / "model").stdout
    (run_folder / "registered.json").write_text('{"version": "3", "champion": "3"}')
    lines = run("thresholds", run_folder / "model").stdout.splitlines()
    said = "version 3 in the MLflow registry keeps its thresholds; to register these:"
    command = f"  python -m search.tune --resume one --results '{tmp_path}/my results'"
    assert command == lines[lines.index(said) + 1]
    assert "registry" not in run("thresholds", run_folder / "model", "--dry-run").stdout
