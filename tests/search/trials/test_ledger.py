"""Ends of trials that outlive a process, and Tune's state that was cut off."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from search.trials.ledger import Ledger, earlier_end, reports, restorable

AT = "2026-01-01_00-00-00"


def state(folder: Path, word: str = "new", at: str = AT) -> None:
    """Files as Tune writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"experiment_state-{at}.json").write_text(f'{{"say": "{word}"}}')
    (folder / f"searcher-state-{at}.pkl").write_bytes(pickle.dumps({"say": word}))
    (folder / f"search_gen_state-{at}.json").write_bytes(pickle.dumps({"say": word}))
    (folder / "tuner.pkl").write_bytes(pickle.dumps(1))


def trial(folder: Path, **result: Any) -> Any:
    storage = SimpleNamespace(experiment_driver_staging_path=str(folder))
    return SimpleNamespace(trial_id="t1", storage=storage, last_result=result)


def test_the_end_of_a_trial_is_kept_without_tunes_book_keeping(tmp_path: Path) -> None:
    state(tmp_path / "staging")
    ended = trial(tmp_path / "staging", objective=0.5, epoch=3, done=True, pid=7, config={"lr": 1})
    assert earlier_end(str(tmp_path), "t1") is None
    Ledger(str(tmp_path)).on_trial_complete(1, [ended], ended)
    assert earlier_end(str(tmp_path), "t1") == {"objective": 0.5, "epoch": 3}


def test_reports_of_all_processes_are_one_history_even_if_one_was_cut_off(tmp_path: Path) -> None:
    assert reports(str(tmp_path), "t1") is None
    for epoch, value in ((1, 0.9), (2, 0.1)):
        result = {"epoch": epoch, "objective": value, "pid": 7}
        Ledger(str(tmp_path)).on_trial_result(1, [], trial(tmp_path), result)
    with (tmp_path / "reports" / "t1.jsonl").open("a") as file:
        file.write('\n{"epoch": 3, "obj')
    for epoch, value in ((2, 0.2), (3, 0.3)):
        result = {"epoch": epoch, "objective": value}
        Ledger(str(tmp_path)).on_trial_result(1, [], trial(tmp_path), result)
    found = reports(str(tmp_path), "t1")
    assert found is not None
    expected = {"epoch": [1, 2, 3], "objective": [0.9, 0.2, 0.3]}
    assert found.to_dict("list") == expected


@pytest.mark.parametrize("file", ["experiment_state", "searcher-state", "search_gen_state"])
@pytest.mark.parametrize("left", [0, 5])
def test_a_state_that_was_cut_off_is_replaced_by_the_copy(
    tmp_path: Path, file: str, left: int
) -> None:
    state(tmp_path / "staging", "copied")
    ended = trial(tmp_path / "staging")
    Ledger(str(tmp_path)).on_trial_complete(1, [ended], ended)
    state(tmp_path / "tune")
    assert restorable(str(tmp_path))
    assert "new" in (tmp_path / "tune" / f"experiment_state-{AT}.json").read_text()
    (torn,) = (tmp_path / "tune").glob(f"{file}-*")
    torn.write_bytes(torn.read_bytes()[:left])
    assert restorable(str(tmp_path))
    assert "copied" in (tmp_path / "tune" / f"experiment_state-{AT}.json").read_text()
    assert pickle.loads((tmp_path / "tune" / f"searcher-state-{AT}.pkl").read_bytes())


def test_without_a_copy_the_state_of_an_earlier_process_counts(tmp_path: Path) -> None:
    state(tmp_path / "tune")
    later = "2026-01-02_00-00-00"
    state(tmp_path / "tune", at=later)
    (tmp_path / "tune" / f"experiment_state-{later}.json").write_text("{")
    assert restorable(str(tmp_path))
    left = {path.name for path in (tmp_path / "tune").iterdir()}
    names = (f"experiment_state-{AT}.json", f"searcher-state-{AT}.pkl")
    assert left == {*names, f"search_gen_state-{AT}.json", "tuner.pkl"}


@pytest.mark.parametrize("missing", ["tuner.pkl", f"experiment_state-{AT}.json"])
def test_a_stage_that_was_killed_while_it_began_begins_anew(tmp_path: Path, missing: str) -> None:
    assert not restorable(str(tmp_path))
    state(tmp_path / "tune")
    (tmp_path / "tune" / missing).unlink()
    assert not restorable(str(tmp_path))
    assert not (tmp_path / "tune").exists()
