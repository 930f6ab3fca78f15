"""Entries arrive in order and at least once, whatever the store does; no caller waits for it."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from search.tracking.entries import Abandon, Begin, End, Entry, Log, Settle, from_line, to_line
from search.tracking.outbox import Outbox


class Store:
    """Keeps what is delivered; raises the given errors first."""

    def __init__(self, *errors: Exception, slow: float = 0.0) -> None:
        self.got: list[Entry] = []
        self.errors, self.slow = list(errors), slow

    def __call__(self, entry: Entry) -> None:
        time.sleep(self.slow)
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(entry)


def entries(n: int) -> list[Entry]:
    params = {"text": "Pêche\n"}
    return [
        Begin(trial_id=f"t{i}", stage="search", name=f"search {i}", params=params) for i in range(n)
    ]


def filled(path: Path, store: Any, n: int = 3) -> Outbox:
    outbox = Outbox(path, store)
    for entry in entries(n):
        outbox.put(entry)
    return outbox


def test_entries_arrive_in_order_and_leave_no_file(tmp_path: Path) -> None:
    store = Store()
    assert filled(tmp_path / "box", store, 20).wait(5) == 0
    assert store.got == entries(20)
    assert list(tmp_path.iterdir()) == []


def test_putting_does_not_wait_for_a_slow_store(tmp_path: Path) -> None:
    began = time.monotonic()
    outbox = filled(tmp_path / "box", Store(slow=1.0))
    assert time.monotonic() - began < 0.5
    assert outbox.wait(10) == 0


def test_what_a_store_that_is_gone_did_not_take_arrives_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(OSError("gone"), OSError("gone"))
    with caplog.at_level(logging.WARNING, "search.tracking.outbox"):
        outbox = filled(tmp_path / "box", store)
        assert outbox.wait(10) == 0
    assert store.got == entries(3)
    assert [record.message.rsplit(": ", 1)[1] for record in caplog.records] == ["gone"]


def test_waiting_for_a_store_that_stays_away_is_bounded(tmp_path: Path) -> None:
    began = time.monotonic()
    assert filled(tmp_path / "box", Store(*[OSError("gone")] * 99)).wait(1.0) == 3
    assert time.monotonic() - began < 2.0


def test_an_entry_that_can_never_succeed_does_not_hold_up_the_next(tmp_path: Path) -> None:
    store = Store(TypeError("never"))
    assert filled(tmp_path / "box", store).wait(5) == 0
    assert store.got == entries(3)[1:]


def test_the_next_process_delivers_what_waits_and_drops_a_line_that_was_cut_off(
    tmp_path: Path,
) -> None:
    path = tmp_path / "box"
    filled(path, Store(*[OSError("gone")] * 99))
    kept = path.read_text()
    assert [from_line(line) for line in kept.splitlines()] == entries(3)
    path.with_name("next").write_text(kept + '{"do": "beg')
    store = Store()
    again = Outbox(path.with_name("next"), store)
    again.put(entries(4)[3])
    assert again.wait(5) == 0
    assert store.got == entries(4)


TRIAL: dict[str, Any] = {
    "trial_id": "t1",
    "stage": "search",
    "name": "search 1",
    "params": {"lr": "0.1"},
}


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (
            Begin(**TRIAL),
            '{"do": "begin", "trial_id": "t1", "stage": "search", "name": "search 1", '
            '"params": {"lr": "0.1"}}',
        ),
        (
            Log(**TRIAL, metrics={"loss": 0.5}, step=3, timestamp=1000),
            '{"do": "log", "trial_id": "t1", "stage": "search", "name": "search 1", '
            '"params": {"lr": "0.1"}, "metrics": {"loss": 0.5}, "step": 3, "timestamp": 1000}',
        ),
        (
            End(**TRIAL, status="FINISHED", tags={}, metric="objective", seconds=None),
            '{"do": "end", "trial_id": "t1", "stage": "search", "name": "search 1", '
            '"params": {"lr": "0.1"}, "status": "FINISHED", "tags": {}, "metric": "objective", '
            '"seconds": null}',
        ),
        (
            Settle(stage="search", trials=["t1"]),
            '{"do": "settle", "stage": "search", "trials": ["t1"]}',
        ),
        (Abandon(status="KILLED", pid=7), '{"do": "abandon", "status": "KILLED", "pid": 7}'),
    ],
)
def test_the_lines_on_disk_keep_their_form(entry: Entry, line: str) -> None:
    assert to_line(entry) == line + "\n"
    assert from_line(line) == entry
