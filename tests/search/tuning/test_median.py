"""The median stopping rule against Ray's own, and in a process that continues."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import MedianStoppingRule, TrialScheduler

from search.tuning.median import MedianStop

EPOCHS = 12


def ours(storage: Path, grace: int = 2) -> MedianStop:
    scheduler = MedianStop(str(storage), epochs=EPOCHS, grace_epochs=grace)
    scheduler.set_search_properties("objective", "max")
    return scheduler


def rays(grace: int = 2) -> MedianStoppingRule:
    """It pauses no trial."""
    return MedianStoppingRule(
        time_attr="epoch",
        metric="objective",
        mode="max",
        grace_period=grace,
        min_time_slice=EPOCHS + 1,
    )


@dataclass(frozen=True)
class Named:
    """Stands for a trial; Ray's own scheduler keeps them as keys."""

    trial_id: str


def run(scheduler: TrialScheduler, curves: np.ndarray) -> list[list[str]]:
    """Decisions on trials that report in turn, each until it is stopped."""
    trials: list[Any] = [Named(str(i)) for i in range(len(curves))]
    waiting: Any = SimpleNamespace(get_live_trials=lambda: [])
    for trial in trials:
        scheduler.on_trial_add(waiting, trial)
    decisions: list[list[str]] = [[] for _ in trials]
    for epoch in range(1, EPOCHS):
        for trial, curve, made in zip(trials, curves, decisions, strict=True):
            if "STOP" not in made:
                result = {"epoch": epoch, "objective": float(curve[epoch - 1])}
                made.append(scheduler.on_trial_result(waiting, trial, result))
    return decisions


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("grace", [1, 3])
def test_it_decides_as_rays_own(tmp_path: Path, seed: int, grace: int) -> None:
    curves = np.random.default_rng(seed).random((7, EPOCHS)) / 3
    curves += np.linspace(0.6, 0, 7)[:, None]
    decided = run(ours(tmp_path, grace), curves)
    assert decided == run(rays(grace), curves)
    assert any("STOP" in made for made in decided)
    assert not all("STOP" in made for made in decided)


def test_a_new_process_decides_by_what_the_old_one_kept(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for name, value in (("a", 0.5), ("b", 0.6), ("c", 0.7)):
        rows = [json.dumps({"epoch": epoch, "objective": value}) for epoch in range(1, 5)]
        (tmp_path / "reports" / f"{name}.jsonl").write_text("\n".join(rows))
    scheduler = ours(tmp_path)
    trials: list[Any] = [SimpleNamespace(trial_id=name) for name in "abcde"]
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    for trial, value, decided in ((trials[3], 0.59, "STOP"), (trials[4], 0.61, "CONTINUE")):
        result = {"epoch": 2, "objective": value}
        assert scheduler.on_trial_result(None, trial, result) == decided


def test_no_trial_is_stopped_at_its_last_epoch(tmp_path: Path) -> None:
    scheduler = ours(tmp_path)
    trials: list[Any] = [SimpleNamespace(trial_id=name) for name in "abcd"]
    for value, trial in enumerate(reversed(trials)):
        result = {"epoch": EPOCHS, "objective": float(value if trial is not trials[0] else -1)}
        assert scheduler.on_trial_result(None, trial, result) == "CONTINUE"
