"""Claims about the plots of trials: learning curves and parameters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from hierclf.config import Choices, Interval, Space
from hierclf.reports.parameter_plot import plot_parameters
from hierclf.reports.run_plots import (
    plot_learning_curves,
)
from tests.plots import size_of

IN_SAMPLE = "in-sample (the search's own folds)"
SPACE: Space = {
    "train.lr": Interval(low=1e-4, high=1e-2, log=True),
    "train.weight_decay": Interval(low=1e-6, high=1e-2, log=True),
    "train.batch_size": Interval(low=32, high=64, step=32),
    "model.backbone": Choices(choices=("resnet18", "tf_efficientnet_lite2")),
}


def draw_trials() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Histories and summaries of eight trials: two stopped early, one failed."""
    rng = np.random.default_rng(0)
    epochs, trials = [], []
    for i in range(8):
        length = {1: 2, 4: 2, 6: 1}.get(i, 5)
        value = 0.5 + 0.05 * np.arange(length) + rng.normal(0, 0.02, length)
        loss = np.exp(-np.arange(length)) + 0.1
        if i == 6:
            value, loss = np.append(value, 0.0), np.append(loss, np.nan)
        part = {"trial_id": f"t{i}", "epoch": 1 + np.arange(len(value)), "objective": value}
        epochs.append(pd.DataFrame({**part, "loss": loss, "super_harmonic": value + 0.1}))
        status = "failed" if i == 6 else "stopped early" if length < 5 else "finished"
        trials.append(
            {
                "train.lr": 10 ** rng.uniform(-4, -2),
                "train.weight_decay": 10 ** rng.uniform(-6, -2),
                "train.batch_size": 32 * (1 + i % 2),
                "model.backbone": ("resnet18", "tf_efficientnet_lite2")[i % 2],
                "objective": value[-1],
                "status": status,
            }
        )
    history = pd.concat(epochs, ignore_index=True)
    return history.assign(sub_harmonic=history["super_harmonic"] - 0.2), pd.DataFrame(trials)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("missing", [[], ["super_harmonic"], ["super_harmonic", "sub_harmonic"]])
def test_learning_curves_need_no_level(missing: list[str], tmp_path: Path) -> None:
    history, _ = draw_trials()
    plot_learning_curves(history.drop(columns=missing), tmp_path / "plot.png")
    size_of(tmp_path / "plot.png")


def test_learning_curves_name_the_best_epoch(tmp_path: Path, texts: list[str]) -> None:
    history, _ = draw_trials()
    history.loc[history.index[8], "objective"] = 0.8125
    plot_learning_curves(history, tmp_path / "plot.png")
    assert f"{IN_SAMPLE}: best 81.2 %, epoch {history['epoch'].iloc[8]}" in texts


def test_learning_curves_without_a_finished_epoch_say_so(tmp_path: Path, texts: list[str]) -> None:
    history, _ = draw_trials()
    plot_learning_curves(history.query("loss.isna()"), tmp_path / "plot.png")
    assert texts.count("no finished epoch") == 2
    size_of(tmp_path / "plot.png")


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("kept", ["index >= 0", "status == 'failed'", "status == 'finished'"])
def test_parameters_are_drawn_whatever_became_of_the_trials(kept: str, tmp_path: Path) -> None:
    _, trials = draw_trials()
    plot_parameters(trials.query(kept), SPACE, tmp_path / "plot.png")
    size_of(tmp_path / "plot.png")


def test_a_failed_trial_is_never_the_best(tmp_path: Path, texts: list[str]) -> None:
    _, trials = draw_trials()
    trials.loc[6, ["objective", "train.lr"]] = 0.99, 0.5
    trials.loc[3, ["objective", "train.lr"]] = 0.90, 0.25
    plot_parameters(trials, SPACE, tmp_path / "plot.png")
    assert "best 0.25" in texts
    assert "best 0.5" not in texts


def test_failed_trials_are_in_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Figure] = []
    monkeypatch.setattr(
        "hierclf.reports.parameter_plot.save_figure", lambda figure, path: saved.append(figure)
    )
    _, trials = draw_trials()
    trials.loc[6, ["train.lr", "train.weight_decay", "train.batch_size"]] = 10.0, 1e-9, 500
    plot_parameters(trials, SPACE, tmp_path / "plot.png")
    limits = [axes.get_xlim() for axes in saved[0].axes]
    assert limits[0][1] > 10.0
    assert limits[1][0] < 1e-9
    assert limits[2][1] > 500


def test_a_choice_has_its_place_on_an_axis_with_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Figure] = []
    monkeypatch.setattr(
        "hierclf.reports.parameter_plot.save_figure", lambda figure, path: saved.append(figure)
    )
    _, trials = draw_trials()
    plot_parameters(trials, SPACE, tmp_path / "plot.png")
    axes = saved[0].axes[3]
    assert axes.get_xlabel() == "model.backbone"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["resnet18", "...ntnet_lite2"]
    offsets = np.concatenate([np.asarray(each.get_offsets()) for each in axes.collections])
    assert set(offsets[:, 0]) == {0.0, 1.0}
    assert saved[0].axes[0].get_xscale() == "log"
    assert saved[0].axes[2].get_xscale() == "linear"


def test_one_searched_value_is_one_panel(tmp_path: Path) -> None:
    _, trials = draw_trials()
    plot_parameters(trials, {"train.lr": SPACE["train.lr"]}, tmp_path / "plot.png")
    size_of(tmp_path / "plot.png")
