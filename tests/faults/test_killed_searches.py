"""`kill -9` of the main process, again and again, at moments drawn from a seed."""

import random
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search.tracking import store
from search.tuning.study import StudyPlace, open_study
from search.tuning.study_search import own_trials
from tests.faults.injected import injected, trained
from tests.faults.running import Running, running
from tests.searches import Ended, Place, runs_of, stages, tiny

SEED = 7
# What a search says before each kill, and how long after at most it comes, in seconds.
MOMENTS = [
    ("hierclf run", 6.0),  # before the first trial: Ray starts, images are decoded
    ("search  ", 15.0),  # trials start, or train
    ("  trial ", 4.0),
    ("confirm  ", 12.0),  # between the stages, or in the folds
    ("thresholds  ", 1.5),
    ("refit  ", 12.0),
    ("register", 3.0),
]
FILES = ("best.json", "thresholds.json", "model/model.safetensors", "registered.json")


def kill_and_look(search: Running, line: str, wait: float) -> dict[str, Any]:
    """Kill the main process alone; Ray's own must end by themselves. What was there by then."""
    folder = search.place.run(search.name)
    search.until(lambda: line in search.out or search.process.poll() is not None)
    time.sleep(wait)
    search.process.kill()
    search.process.wait(10)
    return {
        "ends": {path.stem for path in folder.glob("ray/search/ends/*.json")},
        "files": {
            name: (folder / name).stat().st_mtime_ns for name in FILES if there(folder, name)
        },
    }


def there(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_search_killed_at_seven_moments_ends_as_one_that_was_left_alone(
    apart: Place, place: Place, finished: Ended
) -> None:
    log = apart.results.parent / "epochs"
    variables = injected(log)
    draw = random.Random(SEED)
    looks: list[dict[str, Any]] = []
    options = tiny(apart, "killed")
    for line, longest in MOMENTS:
        with running(apart, "killed", *options, **variables) as search:
            look = kill_and_look(search, line, draw.uniform(0.0, longest))
        looks.append(look | {"epochs": trained(log)})
        options = ["--resume", "killed", "--results", str(apart.results)]
    with running(apart, "killed", *options, **variables) as search:
        ended = search.ended()
    assert ended.code == 0, ended

    folder = apart.run("killed")
    trials = pd.read_parquet(folder / "trials.parquet")
    alone = pd.read_parquet(place.run("one") / "trials.parquet")
    assert len(trials) == trials["trial_id"].nunique() == 3
    assert set(trials["status"]) <= {"finished", "stopped early"}
    # The same sampler with its history: it suggests what it suggests when nobody kills it.
    tuned = ["train.lr", "train.weight_decay", "train.strength"]
    ours, theirs = (t[tuned].sort_values(tuned, ignore_index=True) for t in (trials, alone))
    pd.testing.assert_frame_equal(ours, theirs)
    history = pd.read_parquet(folder / "history.parquet")
    for trial, epochs in trials.set_index("trial_id")["epochs"].items():
        own = history[history["trial_id"] == trial]["epoch"].tolist()
        assert own == list(range(1, epochs + 1))

    place_of = StudyPlace(str(folder / "study.log"), "killed", shared=False, own=False)
    own = own_trials(open_study(place_of).study, "killed")
    assert {t.user_attrs["trial"] for t in own} == set(trials["trial_id"])
    assert [t.state.name for t in own] == ["COMPLETE"] * 3

    epochs = trained(log)
    lr = trials.set_index("trial_id")["train.lr"]
    for look in looks:
        for trial_id in look["ends"]:  # what has ended is never trained again
            later = epochs[len(look["epochs"]) :]
            if "best.json" not in look["files"]:
                assert not [e for e in later if abs(e.lr / lr[trial_id] - 1) < 1e-6]
        for name, written in look["files"].items():  # what is finished is never done again
            assert (folder / name).stat().st_mtime_ns == written, name

    parent, children = runs_of(apart, "killed")
    assert parent.info.status == "FINISHED"
    assert {run.info.status for run in children} == {"FINISHED"}
    names = stages(children)
    assert names == ["confirm", "confirm", "refit", "search", "search", "search", "thresholds"]
    found = [run.data.tags["trial_id"] for run in children if "trial_id" in run.data.tags]
    assert len(found) == len(set(found)) == 6
    assert len(store.connect(apart.uri()).search_model_versions("name = 'hierclf'")) == 1
    assert (folder / "summary.json").is_file()
    assert not list(folder.glob(".*.part"))
