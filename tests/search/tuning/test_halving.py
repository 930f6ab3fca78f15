"""ASHA whose rungs survive its process, against Ray's ASHA in a process that never stops."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from search.tuning.halving import PersistentASHA

EPOCHS = 30


def ours(path: Path, grace_epochs: int = 2, reduction_factor: int = 3) -> PersistentASHA:
    scheduler = PersistentASHA(
        path, epochs=EPOCHS, grace_epochs=grace_epochs, reduction_factor=reduction_factor
    )
    scheduler.set_search_properties("objective", "max")
    return scheduler


def rays(grace_epochs: int = 2, reduction_factor: int = 3) -> ASHAScheduler:
    return ASHAScheduler(
        time_attr="epoch",
        metric="objective",
        mode="max",
        max_t=EPOCHS + 1,
        grace_period=grace_epochs,
        reduction_factor=reduction_factor,
    )


def run(scheduler: TrialScheduler, curves: dict[str, list[float]]) -> dict[str, list[str]]:
    """The scheduler's decisions on trials that report in turn, each until it is stopped."""
    trials: dict[str, Any] = {name: SimpleNamespace(trial_id=name) for name in curves}
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    decisions: dict[str, list[str]] = {name: [] for name in curves}
    for epoch in range(1, EPOCHS + 1):
        for name, trial in trials.items():
            if "STOP" in decisions[name] or epoch > len(curves[name]):
                continue
            result = {"epoch": epoch, "objective": curves[name][epoch - 1]}
            decisions[name].append(scheduler.on_trial_result(None, trial, result))
    return decisions


def learning_curves(seed: int, n_trials: int = 12) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"t{i}": np.sort(rng.random(EPOCHS - 1)).tolist() for i in range(n_trials)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("grace", "factor"), [(1, 2), (2, 3), (1, 4), (5, 3)])
def test_it_decides_as_rays_own(tmp_path: Path, seed: int, grace: int, factor: int) -> None:
    curves = learning_curves(seed)
    decided = run(ours(tmp_path / "rungs.json", grace, factor), curves)
    assert decided == run(rays(grace, factor), curves)
    assert any("STOP" in decisions for decisions in decided.values())


def test_equal_values_pass_a_rung_as_with_rays_own(tmp_path: Path) -> None:
    curves = {f"t{i}": [0.5] * (EPOCHS - 1) for i in range(4)}
    decided = run(ours(tmp_path / "rungs.json"), curves)
    assert decided == run(rays(), curves) == {name: ["CONTINUE"] * 29 for name in curves}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("value", [0.05, 0.3, 0.6, 0.95])
def test_a_new_process_decides_on_the_next_trial_as_the_old_one_would(
    tmp_path: Path, seed: int, value: float
) -> None:
    old = ours(tmp_path / "rungs.json")
    run(old, learning_curves(seed))
    shutil.copy(tmp_path / "rungs.json", tmp_path / "copy.json")
    curve = {"next": [value] * 20}
    assert run(ours(tmp_path / "copy.json"), curve) == run(old, curve)


def test_without_the_file_the_next_trial_would_be_compared_with_nothing(tmp_path: Path) -> None:
    run(ours(tmp_path / "rungs.json"), learning_curves(0))
    bad = {"next": [0.0, 0.0, 0.0]}
    assert run(rays(), bad)["next"] == ["CONTINUE"] * 3
    assert "STOP" in run(ours(tmp_path / "rungs.json"), bad)["next"]


def test_a_trial_that_is_resumed_in_a_new_process_is_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "rungs.json"
    run(ours(path), {"a": [0.1, 0.5]})
    written = path.read_text()
    assert json.loads(written) == {"2": {"a": 0.5}, "6": {}, "18": {}}
    run(ours(path), {"a": [0.1, 0.7]})  # resumed from before its rung
    assert path.read_text() == written
    assert run(ours(path), {"b": [0.0, 0.6]})["b"] == ["CONTINUE", "CONTINUE"]


def test_no_trial_is_stopped_at_its_last_epoch(tmp_path: Path) -> None:
    scheduler = PersistentASHA(
        tmp_path / "rungs.json", epochs=2, grace_epochs=1, reduction_factor=2
    )
    scheduler.set_search_properties("objective", "max")
    run(scheduler, {"good": [0.9, 0.9]})
    assert run(scheduler, {"late": [0.9, 0.1]})["late"] == ["CONTINUE", "CONTINUE"]
