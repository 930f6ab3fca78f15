"""Searches over stored studies, driven as Tune drives them, without Ray's processes."""

import json
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from hierclf.config import parse_config
from hierclf.config.search import Sampler
from search.tuning.study import StudyPlace, join_study
from search.tuning.study_search import StudySearch

CONFIG = parse_config({"train": {"lr": 2e-3}})
SPACE: dict[str, BaseDistribution] = {
    "train.lr": FloatDistribution(1e-5, 1e-2, log=True),
    "train.strength": FloatDistribution(0.0, 2.0),
    "train.batch_size": CategoricalDistribution([32, 64]),
}
FIRST = {"train.lr": 1e-4, "train.strength": 1.0, "train.batch_size": 64}


def place_in(folder: Path, name: str = "one", *, shared: bool = False) -> StudyPlace:
    place = StudyPlace(str(folder / "study.log"), name, shared, own=not shared)
    join_study(place, CONFIG, "pixels")
    return place


def search(
    place: StudyPlace,
    run: str = "one",
    *,
    sampler: Sampler = "tpe",
    seed: int = 0,
    n_trials: int = 20,
    first: tuple[dict[str, Any], ...] = (FIRST,),
) -> StudySearch:
    return StudySearch(
        place,
        run=run,
        space=SPACE,
        metric="objective",
        n_trials=n_trials,
        first=first,
        sampler=sampler,
        seed=seed,
    )


def value_of(values: dict[str, Any]) -> float:
    """What a trial with these values reports."""
    return values["train.lr"] * 50 + values["train.strength"] / 4


def one_trial(searcher: StudySearch, trial_id: str) -> dict[str, Any]:
    """Suggest a trial and report its only epoch and its end, as Tune does."""
    values = searcher.suggest(trial_id)
    assert isinstance(values, dict)
    result = {"objective": value_of(values), "epoch": 1}
    searcher.on_trial_result(trial_id, result)
    searcher.on_trial_complete(trial_id, result)
    return values


def keep(storage: Path, *, known: list[str], ended: dict[str, float]) -> None:
    """Write what Tune and the ledger leave of a stage: known trials, and the ends of some."""
    (storage / "tune").mkdir(parents=True, exist_ok=True)
    trials = [json.dumps({"trial_id": name}) for name in known]
    state = storage / "tune" / "experiment_state-2026-01-31_23-59-59.json"
    state.write_text(json.dumps({"trial_data": trials}))
    (storage / "ends").mkdir(exist_ok=True)
    for name, value in ended.items():
        end = storage / "ends" / f"{name}.json"
        end.write_text(json.dumps({"objective": value, "epoch": 3}))
