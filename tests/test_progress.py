"""Claims about the progress of slow steps, in a terminal and outside one."""

import pytest

from hierclf import progress


def test_progress_outside_a_terminal_is_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 4.0, 12.0, 15.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress("working") as report:
        for done in (10, 30, 40, 100):
            report(done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "working: 30 of 100, about 28 s left",
        "working: 100 of 100 in 40 s",
    ]


def test_slow_steps_in_a_terminal_have_a_time_left_from_the_first_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the output for a terminal then
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress("working") as report:
        for done in (1, 2):
            now[0] = 60.0 * done
            report(done, 3)
    assert "about 60 s left\n" in capsys.readouterr().err
