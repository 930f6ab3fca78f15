"""Claims about the plots of a score table and a rule."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from hierclf.reports.run_plots import (
    plot_score_histograms,
    plot_tau_map,
    plot_trade_off,
)
from hierclf.rules.rule import LevelRule, Rule, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import draw_table
from tests.plots import RULE, TABLES, size_of

Plot = Callable[[ScoreTable, Rule, Path], None]
PLOTS: tuple[Plot, ...] = (plot_trade_off, plot_tau_map, plot_score_histograms)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("name", TABLES)
def test_plots_of_a_score_table_are_png_files(plot: Plot, name: str, tmp_path: Path) -> None:
    plot(ScoreTable(TABLES[name]), RULE, tmp_path / "plot.png")
    assert min(size_of(tmp_path / "plot.png")) > 500


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
        assert f"in-sample: {', '.join(figures)}" in texts


def test_histograms_state_the_fractions_on_the_right_side_of_tau(
    tmp_path: Path, texts: list[str]
) -> None:
    table = TABLES["both levels"]
    plot_score_histograms(ScoreTable(table), RULE, tmp_path / "plot.png")
    known = table["sub_known"]
    below = 100 * (table["sub_energy"][known] <= 6).mean()
    above = 100 * (table["sub_energy"][~known] > 6).mean()
    assert f"in-sample: tau 6; known: {below:.1f} % below; novel: {above:.1f} % above" in texts
    plot_score_histograms(
        ScoreTable(table),
        Rule(LevelRule("knn", 99.0), LevelRule("energy", 6.0)),
        tmp_path / "plot.png",
    )
    assert "in-sample: tau 99 (not in view); known: 100.0 % below; novel: 0.0 % above" in texts


def test_many_scores_use_no_colour_twice_and_cut_no_title_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = draw_table(900)
    for i, name in enumerate(("gen", "within", "residual", "vim")):
        level, other = ("super", "sub") if i % 2 else ("sub", "super")
        table[f"{level}_{name}"] = table[f"{level}_knn"] + 1e-3 * i
        table[f"{other}_{name}"] = table[f"{other}_msp"] + 1e-3 * i
    saved: list[Figure] = []
    monkeypatch.setattr(
        "hierclf.reports.run_plots.save_figure", lambda figure, path: saved.append(figure)
    )
    rule = Rule(LevelRule("knn + 0.1*energy", 0.5), LevelRule("0.2*energy + super.knn", 1.5))
    plot_trade_off(ScoreTable(table), rule, tmp_path / "plot.png")
    figure = saved[0]
    lines = {
        str(line.get_label()): line.get_color()
        for axes in figure.axes
        for line in axes.lines
        if not str(line.get_label()).startswith(("_", "equal"))
    }
    assert len(lines) >= 8
    assert len(set(lines.values())) == len(lines)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    for axes in figure.axes:
        title = axes.title if axes.get_title() else axes._left_title  # type: ignore[attr-defined]
        assert title.get_window_extent().y1 <= figure.bbox.y1
        assert axes.xaxis.label.get_window_extent().y0 >= legend.get_window_extent().y1


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


@pytest.mark.parametrize("plot", PLOTS)
def test_a_score_that_is_not_there_is_named(plot: Plot, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'super_nonsense'"):
        plot(
            ScoreTable(TABLES["both levels"]),
            Rule(LevelRule("nonsense", 0.1), LevelRule("knn", 0.1)),
            tmp_path / "plot.png",
        )
