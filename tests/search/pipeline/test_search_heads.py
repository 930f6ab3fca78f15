"""A search over heads on frozen features, from end to end: many trials in few processes."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import torch

from hierclf.bundle.directory import load_bundle
from hierclf.config import load_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import prepare
from hierclf.training.record import load_record
from search.pipeline.run_folder import read_json
from search.tracking import store
from search.trials.epochs import run_epochs
from tests.searches import Place, frozen, runs_of, stages, tiny, tune

pytestmark = pytest.mark.slow
FOLDS = ("sub0", "super0")


class Heads(NamedTuple):
    """A finished search, and where it is."""

    place: Place
    run: Path
    trials: pd.DataFrame


@pytest.fixture(scope="module")
def heads(place: Place) -> Heads:
    """Five trials of three epochs; of some the learning rate is absurd."""
    apart = place._replace(results=place.results.with_name("results of heads"))
    options = frozen(place)
    for change in (
        "train.lr.low=1.0e-3",
        "train.lr.high=1.0e+38",
        "train.batch_size={choices: [64, 128]}",
        "model.crop_fraction={choices: [0.75, 1.0]}",
    ):
        options += ["--set", f"search.space.{change}"]
    ended = tune(*tiny(apart, "heads", "--trials", "5", *options), cache=place.cache)
    assert ended.code == 0, ended
    assert ended.err == ""
    run = apart.run("heads")
    return Heads(apart, run, pd.read_parquet(run / "trials.parquet"))


def test_a_broken_configuration_harms_no_other(heads: Heads) -> None:
    assert len(heads.trials) == 5
    failed = heads.trials[heads.trials["status"] == "failed"]
    assert 0 < len(failed) < 5
    assert failed["failure"].str.contains("must stay finite").all()
    assert (heads.trials["objective"][heads.trials["status"] != "failed"] > 0.0).all()


def test_a_trial_finds_what_its_folds_find_without_ray(heads: Heads) -> None:
    config = load_config(heads.run / "config.yaml")
    (row,) = heads.trials[heads.trials["train.lr"] == config.train.lr].to_dict("records")
    cpu = torch.device("cpu")
    prepared = prepare(config, directory=heads.place.cache, device=cpu)
    runs = [FoldRun(prepared.folds[name], prepared, config, cpu) for name in FOLDS]
    alone = [metrics["objective"] for metrics in run_epochs(runs, last=config.train.epochs)]
    assert row["objective"] == pytest.approx(alone[row["epochs"] - 1], abs=1e-6)


def test_the_space_is_what_tables_plots_and_mlflow_show(heads: Heads) -> None:
    keys = [
        *("train.lr", "train.weight_decay", "train.strength"),
        *("train.batch_size", "model.crop_fraction"),
    ]
    assert heads.trials.columns[2:7].tolist() == keys
    assert set(heads.trials["train.batch_size"]) <= {64, 128}
    assert set(heads.trials["model.crop_fraction"]) == {0.75, 1.0}
    best = read_json(heads.run / "best.json")["values"]
    assert list(best) == keys
    assert isinstance(best["train.batch_size"], int)
    _, children = runs_of(heads.place, "heads")
    for run in children:
        if "trial_id" in run.data.tags:
            assert set(keys) <= set(run.data.params)
    model = load_bundle(heads.run / "model")
    assert model.preprocessing.crop_fraction == best["model.crop_fraction"]
    assert (heads.run / "plots" / "parameters.png").is_file()


@pytest.mark.long
def test_without_trials_the_configuration_is_taken_as_it_is(place: Place) -> None:
    apart = place._replace(results=place.results.with_name("results without trials"))
    ended = tune(*tiny(apart, "plain", "--trials", "0", *frozen(place)), cache=place.cache)
    assert ended.code == 0, ended
    assert ended.err == ""
    assert "search  none" in ended.out
    assert "no search: the configuration as it is" in ended.out
    run = apart.run("plain")
    best = read_json(run / "summary.json")["deployed"]
    assert best == {"trial_id": None, "values": {}, "epochs": 3, "objective": None}
    assert not (run / "trials.csv").exists()
    assert load_bundle(run / "model").backbone == "smallnet"
    assert load_record(run / "model").config == load_config(run / "config.yaml")
    parent, children = runs_of(apart, "plain")
    assert parent.info.status == "FINISHED"
    assert set(stages(children)) == {"confirm", "refit", "thresholds"}


def test_trials_share_processes(heads: Heads) -> None:
    files = list((heads.run / "ray" / "search" / "tune").glob("*/result.json"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    plan = json.loads((heads.run / "summary.json").read_text())["plan"]
    assert len(files) == 5
    assert len({json.loads(line)["pid"] for line in lines}) <= plan["trials_at_a_time"] < 5


def test_every_trial_is_a_run_with_its_history_and_its_end(heads: Heads) -> None:
    _, children = runs_of(heads.place, "heads")
    client = store.connect(heads.place.uri())
    searched = [run for run in children if run.data.tags.get("hierclf.stage") == "search"]
    ends = dict(zip(heads.trials["trial_id"], heads.trials["status"], strict=True))
    lengths = dict(zip(heads.trials["trial_id"], heads.trials["epochs"], strict=True))
    assert {run.data.tags["trial_id"] for run in searched} == set(ends)
    for run in searched:
        trial_id = run.data.tags["trial_id"]
        assert run.info.status == ("FAILED" if ends[trial_id] == "failed" else "FINISHED")
        assert ("stopped_early" in run.data.tags) == (ends[trial_id] == "stopped early")
        logged = client.get_metric_history(run.info.run_id, "objective")
        assert len(logged) == lengths[trial_id]
    assert "refit" in stages(children)


def test_no_searched_network_is_kept_and_the_refitted_one_is(heads: Heads) -> None:
    assert not list((heads.run / "ray" / "search").rglob("*.safetensors"))
    assert set(pd.read_parquet(heads.run / "scores.parquet")["fold"]) >= set(FOLDS)
    assert load_bundle(heads.run / "model").backbone == "smallnet"
