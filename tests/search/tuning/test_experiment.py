"""What a Tune experiment leaves behind, seen through trials made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from search.trials.plan import Job, Plan
from search.tuning.experiment import KeepBest, history_table, trial_resources, trials_table


def trial(name: str, value: float | None, *, done: bool = True) -> Any:
    result = {} if value is None else {"objective": value}
    return SimpleNamespace(trial_id=name, last_result=result, is_finished=lambda: done)


def kept(storage: Path) -> set[str]:
    return {path.name.removeprefix("train-") for path in storage.iterdir()}


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    for name in "abcd":
        (tmp_path / f"train-{name}" / "checkpoint_0").mkdir(parents=True)
    return tmp_path


def test_of_the_finished_trials_only_the_best_keeps_its_checkpoint(storage: Path) -> None:
    a, b = trial("a", 0.5), trial("b", 0.7, done=False)
    running = trial("d", 0.9, done=False)
    KeepBest(str(storage)).on_trial_complete(1, [a, b, running], b)
    assert kept(storage) == {"b", "c", "d"}


def test_a_new_process_keeps_the_best_of_an_earlier_one(storage: Path) -> None:
    earlier, now = trial("a", 0.8), trial("b", 0.3, done=False)
    KeepBest(str(storage)).on_trial_complete(1, [earlier, now], now)
    assert kept(storage) == {"a", "c", "d"}


def test_a_failed_trial_and_one_without_a_result_are_never_the_best(storage: Path) -> None:
    trials = [trial("a", 0.0), trial("b", None), trial("c", 0.1)]
    KeepBest(str(storage)).on_experiment_end(trials)
    assert kept(storage) == {"c", "d"}


def test_checkpoints_that_tune_itself_took_are_kept_alike(storage: Path) -> None:
    for name in "ab":
        (storage / "tune" / name / "checkpoint_000000").mkdir(parents=True)
        (storage / "tune" / name / "result.json").touch()
    KeepBest(str(storage)).on_experiment_end([trial("a", 0.5), trial("b", 0.7)])
    left = [path.relative_to(storage / "tune").as_posix() for path in storage.glob("tune/*/*")]
    assert sorted(left) == ["a/result.json", "b/checkpoint_000000", "b/result.json"]


def grid(*results: Any) -> Any:
    return list(results)  # of a ResultGrid only its length and items are asked for


def result(name: str, history: list[dict[str, float]], **metrics: Any) -> Any:
    return SimpleNamespace(
        path=f"/storage/{name}",
        metrics={"epoch": len(history), "time_total_s": 5.0, **metrics},
        metrics_dataframe=pd.DataFrame(history),
        config={"train.lr": 0.1, "model.backbone": "resnet18"},
        error=None,
    )


def epochs(*values: float) -> list[dict[str, float]]:
    return [{"epoch": i, "objective": v, "loss": 1.0} for i, v in enumerate(values, start=1)]


def test_a_trial_counts_with_its_last_epoch_and_failed_ones_come_last() -> None:
    table = trials_table(
        grid(
            result("failed", epochs(0.9, 0.0), failure="epoch 2: the loss must stay finite"),
            result("stopped", epochs(0.2)),
            result("whole", epochs(0.3, 0.6, 0.4)),
        ),
        epochs=3,
        keys=["train.lr", "model.backbone"],
    )
    assert table["model.backbone"].tolist() == ["resnet18"] * 3
    assert table["trial_id"].tolist() == ["whole", "stopped", "failed"]
    assert table["status"].tolist() == ["finished", "stopped early", "failed"]
    assert table["objective"].tolist() == [0.4, 0.2, 0.0]
    assert table["best_epoch"].tolist() == [2, 1, 1]
    assert table["epochs"].tolist() == [3, 1, 2]


def test_no_trials_at_all_are_an_empty_table() -> None:
    table = trials_table(grid(), epochs=3, keys=[])
    assert table.empty
    assert {"status", "objective", "failure"} <= set(table.columns)


def test_the_history_has_a_row_for_each_trial_and_epoch() -> None:
    table = history_table(grid(result("a", epochs(0.1, 0.2)), result("b", epochs(0.3))))
    assert list(zip(table["trial_id"], table["epoch"], strict=True)) == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]


@pytest.mark.parametrize(
    ("freeze", "workers", "use_gpu", "reserved"),
    [
        ("backbone", 1, False, {"cpu": 3}),
        ("backbone", 1, True, {"cpu": 3, "gpu": 0.25}),
        ("backbone", 2, True, {"cpu": 0}),  # its workers reserve for themselves
        ("none", 1, True, {"cpu": 0}),
    ],
)
def test_a_trial_of_heads_reserves_its_own_cores_and_share_of_a_gpu(
    freeze: str, workers: int, use_gpu: bool, reserved: dict[str, float]
) -> None:
    plan = Plan(4, workers, use_gpu, cpus_per_worker=3, gpus=1, gpu_fraction=0.25)
    config = {"model": {"freeze": freeze}}
    prepared: Any = None
    job = Job(config, (), 1, False, prepared, cache_dir="", plan=plan, storage="")
    found = trial_resources(job)
    found.pop("node:__internal_head__", None)
    assert found == reserved
