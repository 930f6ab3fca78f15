"""Claims about `tune.py --dry-run`: what it says of a search, and that it makes none."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from hierclf.config import Config
from hierclf.data.cache import open_cache
from hierclf.data.demo import demo_source
from hierclf.training.folds import REFIT, Fold
from hierclf.training.prepare import Prepared
from search.pipeline.estimate import Speed, estimate_stages, measure_speed
from search.trials.plan import Plan
from tests.searches import Place, tune

CONFIG = Config.model_validate(
    {
        "model": {"backbone": "smallnet", "weights": "none", "image_size": 32},
        "train": {"epochs": 5, "batch_size": 32},
        "search": {"trials": 3},
    }
)


def fold(name: str, train: int, val: int, held_out: int) -> Fold:
    rows = np.split(np.arange(train + val + held_out), [train, train + val])
    return Fold(name, np.arange(2), np.arange(4), *rows)


FOLDS = {
    f.name: f
    for f in (fold("sub0", 80, 10, 10), fold("super0", 60, 10, 30), fold(REFIT, 100, 0, 0))
}


def test_the_time_is_that_of_every_image_of_every_epoch() -> None:
    speed, plan = Speed(train=0.01, evaluate=0.001), Plan(2, 1, False, 1, 0)
    stages = estimate_stages(CONFIG, FOLDS, ["sub0", "super0"], speed, plan)
    epoch = 0.01 * (80 + 60) + 0.001 * (20 + 40)
    assert stages.search == pytest.approx(5 * epoch * 2)  # three trials, two at a time
    assert stages.confirm == pytest.approx(2 * 5 * epoch / 2)
    assert stages.refit == pytest.approx(5 * 0.01 * 100)
    alone = estimate_stages(CONFIG, FOLDS, ["sub0"], speed, Plan(1, 2, False, 1, 0))
    assert alone.refit == pytest.approx(stages.refit / 2)  # two workers share a trial


def test_a_speed_is_measured_with_the_cores_of_a_worker_and_leaves_the_process_as_it_was(
    tmp_path: Path,
) -> None:
    cache = open_cache(demo_source(0, "test"), size=32, directory=tmp_path)
    rows = np.flatnonzero(cache.sub_labels >= 0)
    subs = np.unique(cache.sub_labels[rows])
    own = Fold("sub0", np.unique(cache.super_labels[rows]), subs, rows, rows[:0], rows[:0])
    threads = torch.get_num_threads()
    plan = Plan(1, 1, False, 1, 0)
    speed = measure_speed(CONFIG, Prepared(cache, {"sub0": own}, None, None), "sub0", plan)
    assert 0 < speed.evaluate < speed.train < 1
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_a_dry_run_shows_everything_and_leaves_no_run(place: Place) -> None:
    results = place.results.with_name("no results")
    options = ["--config", str(place.config), "--gpus", "0", "--trials", "2", "--dry-run"]
    ended = tune(*options, "--results", str(results), cache=place.cache)
    assert (ended.code, ended.err) == (0, ""), ended
    assert not results.exists()
    said, _, configuration = ended.out.partition("configuration\n")
    for words in ("resources: ", "1,200 images", "folds: 2 hide", "at most for 2 trials"):
        assert words in said
    assert yaml.safe_load(configuration)["search"]["trials"] == 2


def test_a_dry_run_of_a_resumed_run_is_refused(place: Place) -> None:
    ended = tune("--resume", "x", "--dry-run", cache=place.cache)
    assert ended.code == 2
    assert "give none but --results" in ended.err
