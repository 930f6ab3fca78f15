"""One search with three troubles at once: each costs what it must, and nothing else."""

import sqlite3
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from search.tracking import store
from tests.faults.injected import Epoch, injected, trained
from tests.faults.running import OWN_LR, PAPERS_LR, running
from tests.searches import Ended, Place, runs_of, stages, tiny

FAULTS = f"""
dies = LOG.with_name("died")
if lr == {PAPERS_LR} and epoch == 3 and fold == "sub0" and not dies.exists():
    dies.touch()
    os.kill(os.getpid(), 9)
if lr == {OWN_LR}:
    raise MemoryError("no room for 7 tensors")
"""


class Troubled(NamedTuple):
    ended: Ended
    folder: Path
    epochs: list[Epoch]


@pytest.fixture(scope="module")
def troubled(apart: Place) -> Troubled:
    """A worker dies by kill -9, a trial runs out of memory, and another process locks SQLite."""
    folder = apart.results.parent / "injected"
    # None is stopped early.
    options = tiny(apart, "troubled", "--trials", "2", "--set", "search.grace_epochs=3")
    with running(apart, "troubled", *options, **injected(folder, FAULTS)) as search:
        search.until(lambda: "search  " in search.out)
        database = sqlite3.connect(apart.results / "mlflow.db", isolation_level=None, timeout=30)
        database.execute("BEGIN EXCLUSIVE")
        search.until(lambda: "  trial 2/2" in search.out)
        database.execute("ROLLBACK")
        database.close()
        ended = search.ended()
    assert ended.code == 0, ended
    return Troubled(ended, apart.run("troubled"), trained(folder))


def by_lr(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "trials.parquet").set_index("train.lr")


def test_a_worker_that_died_goes_on_from_its_checkpoint(troubled: Troubled) -> None:
    trials = by_lr(troubled.folder)
    assert trials.at[PAPERS_LR, "status"] == "finished"
    assert trials.at[PAPERS_LR, "epochs"] == 3
    every = [e.epoch for e in troubled.epochs if e.lr == PAPERS_LR and e.fold == "sub0"]
    own = every[: every.index(3) + 1]  # the search's; the confirmation may train the same values
    best = max(own, key=own.count)  # what was no checkpoint yet is trained once more
    assert own[0] == 1
    assert own[-1] == 3
    assert own.count(1) == 1
    assert own.count(best) <= 2


def test_a_trial_without_memory_fails_with_its_reason_and_is_not_tried_again(
    troubled: Troubled,
) -> None:
    row = by_lr(troubled.folder).loc[OWN_LR]
    assert row["status"] == "failed"
    assert row["failure"] == "epoch 1: out of memory: no room for 7 tensors"
    assert "trial 2/2" in troubled.ended.out
    assert [e.epoch for e in troubled.epochs if e.lr == OWN_LR and e.fold == "sub0"] == []


def test_the_other_finishes_and_is_the_best(troubled: Troubled) -> None:
    trials = pd.read_parquet(troubled.folder / "trials.parquet")
    assert trials["status"].tolist() == ["finished", "failed"]
    assert (troubled.folder / "model" / "bundle.json").is_file()


def test_a_locked_store_gets_everything_later_and_is_one_warning(
    troubled: Troubled, apart: Place
) -> None:
    (line,) = troubled.ended.err.splitlines()
    assert "database is locked" in line
    parent, children = runs_of(apart, "troubled")
    assert parent.info.status == "FINISHED"
    assert stages(children).count("search") == 2
    status = {
        float(run.data.params["train.lr"]): run.info.status
        for run in children
        if run.data.tags.get("hierclf.stage") == "search"
    }
    assert status.pop(OWN_LR) == "FAILED"
    assert set(status.values()) == {"FINISHED"}
    history = pd.read_parquet(troubled.folder / "history.parquet")
    client = store.connect(apart.uri())
    errors = {}
    for run in (r for r in children if r.data.tags.get("hierclf.stage") == "search"):
        rows = history[history["trial_id"] == run.data.tags["trial_id"]]
        logged = client.get_metric_history(run.info.run_id, "objective")
        assert {point.step for point in logged} == set(rows["epoch"])
        errors[float(run.data.params["train.lr"])] = run.data.tags.get("error")
    assert errors.pop(OWN_LR) == "epoch 1: out of memory: no room for 7 tensors"
    assert set(errors.values()) == {None}
    assert not (troubled.folder / "mlflow-outbox.jsonl").exists()
