"""ASHA whose rungs outlive its process, against the ASHA that never stopped."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler

from search.tuning.halving import PersistentASHA

OPTIONS = {
    **{"time_attr": "epoch", "metric": "objective", "mode": "max"},
    **{"max_t": 31, "grace_period": 2, "reduction_factor": 3},
}


def scheduler(path: Path) -> PersistentASHA:
    return PersistentASHA(path, **OPTIONS)


def run(asha: AsyncHyperBandScheduler, name: str, values: list[float]) -> list[str]:
    """What the scheduler says after each epoch of a trial."""
    trial: Any = SimpleNamespace(trial_id=name)
    asha.on_trial_add(None, trial)
    return [
        asha.on_trial_result(None, trial, {"epoch": epoch, "objective": value})
        for epoch, value in enumerate(values, start=1)
    ]


def history(seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"t{i}": np.sort(rng.random(20)).tolist() for i in range(6)}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("value", [0.05, 0.3, 0.6, 0.95])
def test_a_new_process_judges_the_next_trial_as_the_old_one_would(
    tmp_path: Path, seed: int, value: float
) -> None:
    old = scheduler(tmp_path / "rungs.json")
    for name, values in history(seed).items():
        run(old, name, values)
    shutil.copy(tmp_path / "rungs.json", tmp_path / "copy.json")
    new = scheduler(tmp_path / "copy.json")
    curve = [value] * 20
    assert run(new, "next", curve) == run(old, "next", curve)


def test_without_the_file_the_next_trial_would_be_judged_against_nothing(tmp_path: Path) -> None:
    first = scheduler(tmp_path / "rungs.json")
    for name, values in history(0).items():
        run(first, name, values)
    bad = [0.0, 0.0, 0.0]
    assert run(AsyncHyperBandScheduler(**OPTIONS), "next", bad) == ["CONTINUE"] * 3
    assert "STOP" in run(scheduler(tmp_path / "rungs.json"), "next", bad)


def test_a_trial_that_goes_on_in_a_new_process_is_not_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "rungs.json"
    old = scheduler(path)
    run(old, "a", [0.1, 0.5])
    written = path.read_text()
    new = scheduler(path)
    run(new, "a", [0.1, 0.7])  # taken up again from before its rung
    assert path.read_text() == written
    assert new._recorded() == 1


def test_it_decides_as_tunes_own_does(tmp_path: Path) -> None:
    ours, theirs = scheduler(tmp_path / "rungs.json"), AsyncHyperBandScheduler(**OPTIONS)
    for name, values in history(3).items():
        assert run(ours, name, values) == run(theirs, name, values)
