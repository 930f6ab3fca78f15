"""Claims about a run's plots, and about the tables and grids that they show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sklearn.metrics import roc_curve

from hierclf.config import Choices, Interval, Space
from hierclf.hierarchy import Level
from hierclf.reports.curves import MAX_CURVE_POINTS, tau_map, trade_off_table
from hierclf.reports.parameter_plot import plot_parameters
from hierclf.reports.run_plots import (
    plot_learning_curves,
    plot_score_histograms,
    plot_tau_map,
    plot_trade_off,
)
from hierclf.rules.choose import choose_rule, expectation
from hierclf.rules.rule import LevelRule, Rule, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep
from tests.drawn_tables import NOISE, draw_table

RULE = Rule(LevelRule("knn", 0.22), LevelRule("energy", 6.0))
SPACE: Space = {
    "train.lr": Interval(low=1e-4, high=1e-2, log=True),
    "train.weight_decay": Interval(low=1e-6, high=1e-2, log=True),
    "train.batch_size": Interval(low=32, high=64, step=32),
    "model.backbone": Choices(choices=("resnet18", "tf_efficientnet_lite2")),
}
Plot = Callable[[ScoreTable, Rule, Path], None]
PLOTS: tuple[Plot, ...] = (plot_trade_off, plot_tau_map, plot_score_histograms)
TABLES = {
    "both levels": draw_table(900),
    "no novel super-class": draw_table(900).query("super_known").reset_index(drop=True),
    "nothing novel": draw_table(900).query("sub_known").reset_index(drop=True),
    "nothing known": draw_table(2000).query("not super_known").reset_index(drop=True),
    "constant scores": draw_table(300).assign(super_knn=0.5, sub_energy=2.0),
}


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture that is a complete PNG at 150 dots an inch."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        image.load()
        assert len(set(image.convert("L").tobytes())) > 10
        return image.size


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


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written into panels, as it is drawn."""
    said: list[str] = []
    write = Axes.text

    def spy(self: Axes, x: float, y: float, s: str, **options: Any) -> Any:
        said.append(s)
        return write(self, x, y, s, **options)

    monkeypatch.setattr(Axes, "text", spy)
    return said


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("name", TABLES)
def test_plots_of_a_score_table_are_png_files(plot: Plot, name: str, tmp_path: Path) -> None:
    plot(ScoreTable(TABLES[name]), RULE, tmp_path / "plot.png")
    assert min(size_of(tmp_path / "plot.png")) > 500


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
    assert f"best 81.2 %, epoch {history['epoch'].iloc[8]}" in texts


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


@pytest.mark.parametrize("level", ["super", "sub"])
def test_trade_off_is_the_roc_curve_where_every_class_is_right(level: str) -> None:
    table = draw_table(200)
    table[f"{level}_pred"] = table[f"{level}_label"]
    curve = trade_off_table(ScoreTable(table), ["knn"]).query("level == @level")
    novel = ~table[f"{level}_known"]
    fpr, tpr, _ = roc_curve(novel, table[f"{level}_knn"], drop_intermediate=False)
    np.testing.assert_allclose(curve["seen"][::-1], 1 - fpr)
    np.testing.assert_allclose(curve["unseen"][::-1], tpr)


@pytest.mark.parametrize("level", ["super", "sub"])
def test_thinning_keeps_ends_and_best_of_every_score(level: Level) -> None:
    table = draw_table(3000)
    every = trade_off_table(ScoreTable(table), list(NOISE))
    assert set(every["score"]) == set(NOISE)
    rows = ScoreTable(table)[level]
    for name, curve in every.query("level == @level").groupby("score"):
        whole = sweep(ScoreTable(table).score(level, str(name)), rows.right, rows.known)
        assert 400 < len(curve) <= MAX_CURVE_POINTS < len(whole.taus)
        assert curve["tau"].is_monotonic_increasing
        assert curve["tau"].iloc[[0, -1]].tolist() == whole.taus[[0, -1]].tolist()
        assert curve["harmonic"].max() == whole.best().value
        assert set(curve["tau"]) <= set(whole.taus)


@pytest.mark.parametrize("n", [5, 498])
def test_a_short_curve_is_whole(n: int) -> None:
    known = np.arange(n) % 2 == 0
    table = pd.DataFrame({"super_known": known, "super_label": 0, "super_pred": 0})
    table["super_msp"] = np.arange(n, dtype=np.float32)
    for column in ("known", "label", "pred", "msp"):
        table[f"sub_{column}"] = table[f"super_{column}"]
    curve = trade_off_table(ScoreTable(table), ["msp"]).query("level == 'super'")
    assert len(curve) == n + 1


def test_a_level_without_novel_rows_has_no_curve() -> None:
    assert set(trade_off_table(ScoreTable(TABLES["no novel super-class"]), ["knn"])["level"]) == {
        "sub"
    }
    nothing = trade_off_table(ScoreTable(TABLES["nothing novel"]), ["knn"])
    assert nothing.empty
    assert list(nothing) == ["level", "score", "tau", "seen", "unseen", "harmonic"]


def test_the_trade_off_plot_says_which_level_is_missing(tmp_path: Path, texts: list[str]) -> None:
    plot_trade_off(ScoreTable(TABLES["no novel super-class"]), RULE, tmp_path / "plot.png")
    assert texts.count("no novel images at this level") == 1
    plot_trade_off(ScoreTable(TABLES["nothing known"]), RULE, tmp_path / "plot.png")
    assert texts.count("no known images at this level") == 2


def test_the_trade_off_plot_shows_what_the_rule_reaches(tmp_path: Path, texts: list[str]) -> None:
    table = TABLES["both levels"]
    plot_trade_off(ScoreTable(table), RULE, tmp_path / "plot.png")
    expected: dict[str, Any] = evaluate_rule(ScoreTable(table), RULE)
    for level in ("super", "sub"):
        figures = (
            f"{x} {100 * expected[f'{level}_{x}']:.1f} %" for x in ("seen", "unseen", "harmonic")
        )
        assert f"chosen: {', '.join(figures)}" in texts


@pytest.mark.parametrize("name", [name for name in TABLES if not name.startswith("nothing")])
def test_the_tau_map_holds_the_expected_value_of_every_cell(name: str) -> None:
    table = ScoreTable(TABLES[name])
    found = tau_map(table, RULE, n=8)
    value = expectation(table, RULE.super.score, RULE.sub.score)
    for i, super_tau in enumerate(found.super_grid.taus):
        for j, sub_tau in enumerate(found.sub_grid.taus):
            own = value.values(np.array([super_tau]), np.array([sub_tau]))[0, 0]
            assert found.objective[i, j] == pytest.approx(own)
    assert RULE.super.tau in found.super_grid.taus
    assert RULE.sub.tau in found.sub_grid.taus


def test_the_tau_map_is_highest_at_the_chosen_rule() -> None:
    table = ScoreTable(TABLES["both levels"])
    rule, value = choose_rule(table, list(NOISE))
    found = tau_map(table, rule)
    assert found.objective.max() == pytest.approx(value, abs=0.003)


def test_grid_thresholds_part_the_rows_at_their_quantiles() -> None:
    table = draw_table(700, decimals=1)
    for tau in (-50.0, RULE.sub.tau, 500.0):
        grid = tau_map(
            ScoreTable(table), Rule(LevelRule("knn", 0.2), LevelRule("energy", tau))
        ).sub_grid
        below = [(table["sub_energy"] <= x).mean() for x in grid.taus]
        np.testing.assert_allclose(grid.quantiles, below)
        assert tau in grid.taus
        assert (grid.quantiles[0], grid.quantiles[-1]) == (0.0, 1.0)
        assert (np.diff(grid.quantiles) > 0).all()


def test_a_tau_map_needs_known_and_novel_rows() -> None:
    with pytest.raises(ValueError, match="needs rows of held-out classes"):
        tau_map(ScoreTable(TABLES["nothing novel"]), RULE)


def test_histograms_state_the_fractions_on_the_right_side_of_tau(
    tmp_path: Path, texts: list[str]
) -> None:
    table = TABLES["both levels"]
    plot_score_histograms(ScoreTable(table), RULE, tmp_path / "plot.png")
    known = table["sub_known"]
    below = 100 * (table["sub_energy"][known] <= 6).mean()
    above = 100 * (table["sub_energy"][~known] > 6).mean()
    assert f"tau 6; known: {below:.1f} % below; novel: {above:.1f} % above" in texts
    plot_score_histograms(
        ScoreTable(table),
        Rule(LevelRule("knn", 99.0), LevelRule("energy", 6.0)),
        tmp_path / "plot.png",
    )
    assert "tau 99 (not in view); known: 100.0 % below; novel: 0.0 % above" in texts


@pytest.mark.parametrize("plot", PLOTS)
def test_a_rule_of_sums_is_drawn_and_named(
    plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Figure] = []
    monkeypatch.setattr(
        "hierclf.reports.run_plots.save_figure", lambda figure, path: saved.append(figure)
    )
    rule = Rule(LevelRule("knn + 0.1*energy", 0.5), LevelRule("0.2*energy + super.knn", 1.5))
    plot(ScoreTable(TABLES["both levels"]), rule, tmp_path / "plot.png")
    words = [text.get_text() for text in saved[0].findobj(Text)]
    assert any("sum of 2" in text for text in words)


def test_the_curve_of_a_sum_is_that_of_a_column_that_holds_it() -> None:
    table = TABLES["both levels"]
    held = table.assign(sub_sum=0.2 * table["sub_energy"].astype(float) + table["super_knn"])
    by_sum = trade_off_table(ScoreTable(table), ["0.2*energy + super.knn"]).query("level == 'sub'")
    by_column = trade_off_table(ScoreTable(held.assign(super_sum=0.0)), ["sum"]).query(
        "level == 'sub'"
    )
    for column in ("tau", "seen", "unseen"):
        np.testing.assert_allclose(by_sum[column], by_column[column], rtol=1e-6)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_score_that_is_not_there_is_named(plot: Plot, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'super_nonsense'"):
        plot(
            ScoreTable(TABLES["both levels"]),
            Rule(LevelRule("nonsense", 0.1), LevelRule("knn", 0.1)),
            tmp_path / "plot.png",
        )
