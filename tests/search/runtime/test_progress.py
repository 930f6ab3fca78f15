"""What is printed as trials end, where no terminal shows a bar."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from search.runtime import progress
from search.runtime.progress import Steps, TrialProgress, duration


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(
        progress, "console", Console(file=text, width=80, soft_wrap=True, markup=False)
    )
    return text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def trial(name: str, *, done: bool, **result: Any) -> Any:
    config = {"train.lr": 1e-3, "train.weight_decay": 0.01, "train.strength": 1.0}
    return SimpleNamespace(
        trial_id=name, config=config, last_result=result, is_finished=lambda: done
    )


def test_seconds_are_shown_in_two_units_at_most() -> None:
    assert [duration(s) for s in (9.6, 75, 3600 + 125)] == ["10 s", "1 min 15 s", "1 h 2 min"]


def test_a_line_for_each_trial_that_ends_with_the_time_left(
    screen: io.StringIO, clock: list[float]
) -> None:
    shown = TrialProgress("trial", total=3, epochs=4)
    ended = trial("a", done=False, objective=0.5, best_objective=0.9, epoch=4)
    clock[0] = 10.0
    shown.on_trial_complete(1, [ended], ended)
    line = "  trial 1/3  objective  50.0 after 4 epochs  lr=0.001 weight_decay=0.01 strength=1"
    assert screen.getvalue() == f"{line}  about 20 s left\n"


def test_a_resumed_search_counts_what_was_done_but_not_its_time(
    screen: io.StringIO, clock: list[float]
) -> None:
    shown = TrialProgress("trial", total=4, epochs=1)
    earlier = [trial("a", done=True), trial("b", done=True)]
    now = trial("c", done=False, objective=0.5, epoch=1)
    shown.on_trial_start(0, earlier, now)
    clock[0] = 10.0
    shown.on_trial_complete(1, [*earlier, now], now)
    assert screen.getvalue().startswith("  trial 3/4  objective  50.0 after 1 epoch ")
    assert screen.getvalue().endswith("about 10 s left\n")


def test_the_time_left_counts_the_epochs_of_running_trials(
    screen: io.StringIO, clock: list[float]
) -> None:
    shown = TrialProgress("trial", total=4, epochs=10)
    running = trial("b", done=False, epoch=5)
    ended = trial("a", done=False, objective=0.5, epoch=10)
    clock[0] = 30.0  # 1.5 trials of 4: 20 s each
    shown.on_trial_complete(1, [ended, running], ended)
    assert screen.getvalue().endswith("about 50 s left\n")


def test_the_minute_in_which_workers_start_does_not_count_for_every_epoch(
    monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    monkeypatch.setattr(progress, "console", terminal)
    shown = TrialProgress("trial", total=4, epochs=10)
    shown.setup()
    bar: Any = shown._bar
    running = trial("a", done=False, epoch=0)
    shown.on_trial_start(0, [running], running)
    left = []
    for epoch in (1, 2, 3):
        clock[0] = 60.0 + epoch  # workers start for a minute, an epoch takes a second
        running.last_result = {"epoch": epoch}
        shown.on_trial_result(epoch, [running], running, running.last_result)
        left.append(bar.tasks[0].fields["left"])
    shown.on_experiment_end([running])
    assert left == ["", "about 38 s left", "about 37 s left"]


def test_trials_that_divide_folds_are_counted_in_folds(
    screen: io.StringIO, clock: list[float]
) -> None:
    shown = TrialProgress("confirm", total=7, epochs=2)
    parts = [trial("a", done=False, epoch=2), trial("b", done=False, epoch=0)]
    parts[0].config["folds"], parts[1].config["folds"] = list("abcd"), list("efg")
    clock[0] = 8.0
    shown.on_trial_complete(1, parts, parts[0])
    assert screen.getvalue().startswith("  confirm 4/7 folds  lr=0.001")
    assert screen.getvalue().endswith("about 6 s left\n")


def test_brackets_are_printed_and_commands_are_quoted(screen: io.StringIO) -> None:
    progress.headline("hierclf", "run a on /data/birds [v2]")
    progress.print_command("hierclf", "predict", "/data/my runs/[v2]/model", "IMAGES")
    assert screen.getvalue().splitlines() == [
        "hierclf  run a on /data/birds [v2]",
        "  hierclf predict '/data/my runs/[v2]/model' IMAGES",
    ]


def test_a_failed_trial_says_why(screen: io.StringIO, clock: list[float]) -> None:
    shown = TrialProgress("trial", total=1, epochs=4)
    bad = trial("a", done=False, objective=0.0, failure="epoch 2: the loss must stay finite")
    shown.on_trial_complete(1, [bad], bad)
    assert screen.getvalue().startswith("  trial 1/1 failed  lr=0.001")
    assert screen.getvalue().endswith("epoch 2: the loss must stay finite\n")


def test_short_work_is_silent_and_long_work_says_how_long_it_takes(
    screen: io.StringIO, clock: list[float]
) -> None:
    steps = Steps()
    for done in range(5):
        steps("decoding", done, 4)
    assert screen.getvalue() == ""
    for done, now in ((0, 0.0), (1, 40.0), (2, 60.0), (4, 100.0)):
        clock[0] = now
        steps("computing", done, 4)
    assert screen.getvalue().splitlines() == [
        "  computing: 1/4, about 2 min 0 s left",
        "  computing: 4/4, about 0 s left",
    ]
