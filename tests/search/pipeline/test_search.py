"""The main job from end to end on a tiny search: what it leaves behind, and its model.

Searches whose trials are Ray Train runs are in `test_search_endings.py` and `tests/examples`.
"""

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hierclf.bundle.directory import load_bundle
from hierclf.config import Config, load_config
from hierclf.data.demo import write_demo
from hierclf.rules.rule import Rule
from search.pipeline.run_folder import read_json
from search.tracking import store
from search.tuning.study import StudyPlace, open_study
from tests.searches import Ended, Place, environment, execute, frozen, runs_of, stages

pytestmark = pytest.mark.slow
FOLDS = {"sub0", "sub1", "super0", "super1"}
TUNED = ["train.lr", "train.weight_decay", "train.strength"]


# --- what a person sees --------------------------------------------------------------------------


def test_the_output_is_short_quiet_and_ends_with_the_next_commands(finished: Ended) -> None:
    lines = finished.out.splitlines()
    assert len(lines) < 65
    assert finished.err == ""
    assert "warning" not in finished.out.lower()
    following = lines[lines.index("next:") + 1 :]
    assert following[0] == "  mlflow ui --backend-store-uri sqlite:///results/mlflow.db"
    assert following[1].startswith("  http://127.0.0.1:5000/#/experiments/1/runs/")
    assert [line.split()[1] for line in following[2:]] == [
        *("demo", "predict", "evaluate", "thresholds")
    ]


def test_every_trial_and_every_stage_is_said(finished: Ended) -> None:
    said = finished.out
    for words in ("trial 1/3", "trial 3/3", "regret against the sweep", "first champion"):
        assert words in said
    named = [line.split()[0] for line in said.splitlines() if line and line[0] != " "]
    order = ["hierclf", "prepare", "search", "confirm", "thresholds", "refit", "register"]
    assert [word for word in named if word in order] == order
    done, planned = said.rsplit("confirm ", 1)[1].split()[0].split("/")
    assert done == planned


# --- the run folder ------------------------------------------------------------------------------


def test_the_configuration_is_kept_resolved(place: Place, run: Path) -> None:
    kept = load_config(run / "config.yaml")
    assert kept == load_config(place.config, frozen(place)[1::2])
    assert set(Config().model_dump()) == set(kept.model_dump())
    assert "val_fraction" in (run / "config.yaml").read_text()  # a value that was not given


def test_the_trials_have_a_row_each_in_both_files(run: Path) -> None:
    trials = pd.read_parquet(run / "trials.parquet")
    assert len(trials) == trials["trial_id"].nunique() == 3
    assert set(trials["status"]) <= {"finished", "stopped early"}
    assert trials["objective"].between(0, 1).all()
    assert trials["objective"].is_monotonic_decreasing
    with (run / "trials.csv").open() as file:
        assert [row["trial_id"] for row in csv.DictReader(file)] == trials["trial_id"].tolist()
    history = pd.read_parquet(run / "history.parquet")
    assert history.groupby("trial_id").size().to_dict() == dict(
        zip(trials["trial_id"], trials["epochs"], strict=True)
    )


def test_the_study_holds_the_same_trials_with_every_epoch(run: Path) -> None:
    place = StudyPlace(str(run / "study.log"), "one", shared=False, own=False)
    study = {t.user_attrs["trial"]: t for t in open_study(place).study.get_trials()}
    trials = pd.read_parquet(run / "trials.parquet").set_index("trial_id")
    assert set(study) == set(trials.index)
    assert {trial.state.name for trial in study.values()} == {"COMPLETE"}
    history = pd.read_parquet(run / "history.parquet")
    for trial_id, trial in study.items():
        assert trial.value == trials.loc[trial_id, "objective"]
        assert trial.params == trials.loc[trial_id, TUNED].to_dict()
        rows = history[history["trial_id"] == trial_id]
        points = dict(zip(rows["epoch"], rows["objective"], strict=True))
        assert trial.intermediate_values == points


def test_the_lists_of_bad_and_repeated_images_are_there_when_there_are_none(run: Path) -> None:
    assert (run / "quarantine.csv").read_text() == "image,reason\n"
    assert (run / "repeats.csv").read_text() == "image,same_as\n"


def test_the_scores_hold_every_fold_and_each_image_once_a_fold(run: Path) -> None:
    table = pd.read_parquet(run / "scores.parquet")
    assert set(table["fold"]) == FOLDS
    assert not table.duplicated(["fold", "image"]).any()
    for _, rows in table.groupby("fold"):
        assert set(rows["split"]) == {"val", "held_out"}
        assert (rows["split"] == "val").equals(rows["sub_known"])
    hidden = table[~table["super_known"]]
    assert set(hidden["fold"]) == {"super0", "super1"}
    subs = table[(table["split"] == "held_out") & table["fold"].str.startswith("sub")]
    assert subs["sub_label"].nunique() == 16  # over the sub folds, every sub-class is hidden once
    assert not subs.groupby("sub_label")["fold"].nunique().gt(1).any()
    for level in ("super", "sub"):
        for score in Config().thresholds.scores:
            assert np.isfinite(table[f"{level}_{score}"]).all()


def test_known_images_of_every_fold_score_alike_and_near_those_of_the_reference(run: Path) -> None:
    raw, table = (pd.read_parquet(run / f"{x}.parquet") for x in ("fold_scores", "scores"))
    assert set(raw["fold"]) == FOLDS | {"reference", "smaller"}
    reference = raw[raw["fold"] == "reference"]
    assert reference["sub_known"].all()
    for score in Config().thresholds.scores:
        for column in (f"super_{score}", f"sub_{score}"):
            folds = table[table["split"] == "val"].groupby("fold")[column]
            assert np.ptp(folds.median()) < 1e-5
            assert folds.std().max() == pytest.approx(folds.std().min(), rel=0.02)
            step = abs(folds.median().iloc[0] - reference[column].median())
            assert step <= 1.01 * reference[column].std()


def test_the_report_is_named_to_be_opened_and_in_mlflow(
    place: Place, run: Path, finished: Ended
) -> None:
    assert "open in a browser: results/runs/one/report.html" in finished.out.splitlines()
    text = (run / "report.html").read_text()
    assert text.count("data:image/jpeg") > 20
    assert "no picture kept" not in text
    parent, _ = runs_of(place, "one")
    client = store.connect(place.uri())
    assert "report.html" in {file.path for file in client.list_artifacts(parent.info.run_id)}


def test_the_thresholds_are_the_models_and_close_to_the_exact_ones(run: Path) -> None:
    found = read_json(run / "thresholds.json")
    rule = Rule.from_dict(found["rule"])
    assert load_bundle(run / "model").rule == rule
    assert 0 <= found["expected_value"] <= 1
    gap = 100 * (found["sweep_value"] - found["expected_value"])
    assert found["regret_points"] == pytest.approx(gap)
    curve = pd.read_csv(run / "trade_off.csv")
    assert set(curve["level"]) == {"super", "sub"}
    assert all(curve[part].between(0, 1).all() for part in ("seen", "unseen"))
    assert len(pd.read_csv(run / "tau_trials.csv")) == 60


def test_the_summary_names_everything_that_was_found(run: Path) -> None:
    summary = read_json(run / "summary.json")
    named = {"config", "deployed", "rule", "held_out", "seconds", "versions", "hardware"}
    assert named <= set(summary)
    best = pd.read_parquet(run / "trials.parquet").iloc[0]
    found = read_json(run / "best.json")
    assert (found["trial_id"], found["objective"]) == (best["trial_id"], best["objective"])
    gain = summary["search_gain"]
    # What is deployed is the search's find only where the whole interval lies above zero.
    convincing = gain is not None and gain["low"] > 0
    assert (summary["deployed"]["trial_id"] == best["trial_id"]) == (gain is None or convincing)
    for rule in ("chosen", "paper", "never_novel"):
        six = {f"{lv}_{p}" for lv in ("super", "sub") for p in ("overall", "seen", "unseen")}
        assert six <= set(summary["held_out"][rule])
        for key in six:
            figure = summary["held_out"][rule][key]
            assert 0 <= figure["low"] <= figure["expected"] <= figure["high"] <= 1
    steps = {"prepare", "search", "confirm", "thresholds", "refit", "register"}
    assert steps <= set(summary["seconds"])
    assert {"torch", "ray", "optuna", "mlflow"} <= set(summary["versions"])


def test_the_plots_are_pictures(run: Path) -> None:
    names = {path.stem for path in (run / "plots").glob("*.png")}
    assert {"learning_curves", "trade_off", "tau_map", "parameters"} <= names
    for path in (run / "plots").iterdir():
        with Image.open(path) as image:
            image.load()
            assert min(image.size) >= 300


# --- MLflow --------------------------------------------------------------------------------------


def test_mlflow_has_a_run_for_every_trial_of_every_stage(place: Place, run: Path) -> None:
    parent, children = runs_of(place, "one")
    assert parent.info.status == "FINISHED"
    names = stages(children)
    n_confirm = names.count("confirm")
    assert 1 <= n_confirm <= 2 * len(FOLDS)
    assert names == ["confirm"] * n_confirm + ["refit"] + ["search"] * 3 + ["thresholds"]
    assert {child.info.status for child in children} == {"FINISHED"}
    assert parent.data.params["search.trials"] == "3"
    held_out = read_json(run / "summary.json")["held_out"]["chosen"]
    assert parent.data.metrics["held_out.sub_seen"] == held_out["sub_seen"]["expected"]
    note = parent.data.tags["mlflow.note.content"]
    assert f"| sub-class, known | {100 * held_out['sub_seen']['expected']:.1f} |" in note
    for child in children:
        compared = child.data.tags.get("hierclf.stage") == "search"
        assert (child.info.run_id in note) == compared
    assert [given.dataset.name for given in parent.inputs.dataset_inputs] == ["demo"]


def test_a_trials_run_has_its_history(place: Place, run: Path) -> None:
    _, children = runs_of(place, "one")
    history = pd.read_parquet(run / "history.parquet")
    client = store.connect(place.uri())
    for child in (c for c in children if c.data.tags.get("hierclf.stage") == "search"):
        rows = history[history["trial_id"] == child.data.tags["trial_id"]]
        logged = client.get_metric_history(child.info.run_id, "objective")
        points = {(point.step, point.value) for point in logged}
        assert points == set(zip(rows["epoch"], rows["objective"], strict=True))


def test_the_search_begins_with_the_papers_values_then_its_own(place: Place, run: Path) -> None:
    _, children = runs_of(place, "one")
    tried = {
        child.info.run_name: [float(child.data.params[key]) for key in TUNED]
        for child in children
        if child.data.tags.get("hierclf.stage") == "search"
    }
    assert tried["search 001"] == [1e-4, 1e-4, 1.0]
    assert tried["search 002"] == [2e-3, 1e-4, 0.2]
    assert set(tried) == {"search 001", "search 002", "search 003"}


def test_the_model_is_registered_as_champion(place: Place, run: Path) -> None:
    parent, _ = runs_of(place, "one")
    champion = store.connect(place.uri()).get_model_version_by_alias("hierclf", "champion")
    assert champion.run_id == parent.info.run_id


# --- the model -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predicted(place: Place, finished: Ended) -> pd.DataFrame:
    demo = place.cache.parent / "demo set"
    write_demo(demo)
    out = place.cache.parent / "predictions.csv"
    words: list[str | Path] = [
        "predict",
        place.run("one") / "model",
        demo / "test_images.zip",
        "--out",
        out,
    ]
    ended = execute(sys.executable, "-m", "hierclf.cli", *words, cache=place.cache)
    assert ended.code == 0, ended
    return pd.read_csv(out)


def test_the_model_predicts_and_its_predictions_are_evaluated(
    place: Place, predicted: pd.DataFrame
) -> None:
    folder = place.cache.parent
    words: list[str | Path] = [
        "evaluate",
        folder / "predictions.csv",
        folder / "demo set" / "test_labels.csv",
    ]
    ended = execute(
        sys.executable, "-m", "hierclf.cli", *words, "--json", folder / "f.json", cache=place.cache
    )
    assert ended.code == 0, ended
    labels = pd.read_csv(folder / "demo set" / "test_labels.csv").set_index("image")
    answers = predicted.set_index("image").loc[labels.index]
    right = (answers["superclass_index"] == labels["superclass_index"]).mean()
    assert f"{100 * right:.2f}" in ended.out
    found = json.loads((folder / "f.json").read_text())["accuracies"]
    assert found["super_overall"] == pytest.approx(right)


def test_mlflows_model_predicts_the_same_classes(place: Place, predicted: pd.DataFrame) -> None:
    script = """
import base64, json, sys, zipfile
import mlflow, pandas as pd

mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/hierclf@champion")
with zipfile.ZipFile(sys.argv[2]) as archive:
    data = [base64.b64encode(archive.read(name)).decode() for name in json.loads(sys.argv[3])]
print(model.predict(pd.DataFrame({"image": data})).to_json(orient="records"))
"""
    archive = place.cache.parent / "demo set" / "test_images.zip"
    with zipfile.ZipFile(archive) as file:
        inside = {Path(name).name: name for name in file.namelist()}
    sample = predicted.iloc[::40]
    names = json.dumps([inside[Path(image).name] for image in sample["image"]])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, place.uri(), str(archive), names],
        capture_output=True,
        text=True,
        env=environment(place.cache),
        cwd=place.cache.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = pd.DataFrame(json.loads(done.stdout.splitlines()[-1]))
    for column in ("superclass_index", "subclass_index"):
        assert answers[column].tolist() == sample[column].tolist()
    np.testing.assert_allclose(answers["sub_prob"], sample["sub_prob"], atol=1e-4)
