"""The plots of a run, as PNG files.

Shape legend: N rows of a score table, P super and Q sub thresholds.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from hierclf.hierarchy import LEVELS, Level
from hierclf.reports.curves import best_curves, tau_map, thinned_curve
from hierclf.reports.style import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    STAR,
    draw_legend,
    empty_panel,
    iso_lines,
    log_axis,
    new_figure,
    percent_axis,
    percent_label,
    save_figure,
    set_title,
)
from hierclf.rules.rule import PAPER_RULE, Rule, evaluate_rule, novel_rows
from hierclf.rules.score_table import Bools, ScoreTable
from hierclf.scores import SCORES
from hierclf.scores.sums import parse_score

_TITLES = {"super": "Super-class", "sub": "Sub-class"}
_CURVES = (
    *(BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#B8A900", "#882255", "#333333"),
    *("#4B3FB5", "#9C5A1A"),
)
"""As many as lines can be drawn: msp, the three best of each level, the rule's own two and the
dashed one; none is used twice."""
_ENDED: dict[str, Any] = {"color": "#555555", "marker": "x", "ls": "none", "ms": 7}
_OTHER: dict[str, Any] = {"color": "#A0A0A0", "lw": 0.9, "alpha": 0.7, "marker": ".", "ms": 4}
_BEST: dict[str, Any] = {"color": RED, "lw": 2.2, "marker": ".", "ms": 7}
_DIAMOND: dict[str, Any] = {"marker": "D", "s": 50, "c": "white", "edgecolors": "k", "zorder": 5}


def plot_learning_curves(history: pd.DataFrame, path: Path) -> None:
    """Objective and loss of each trial by epoch, with the best trial highlighted.

    Args:
        history: one row per trial and epoch: trial_id, epoch, objective, loss and, for levels with
            novel rows, super_harmonic and sub_harmonic.
        path: PNG file to write.
    """
    # A failed epoch has no loss; its objective of 0 is a penalty, not a measurement.
    rows = history.dropna(subset=["epoch", "objective", "loss"]).sort_values("epoch")
    figure, panels = new_figure(2, (10, 4.5))
    if rows.empty:
        for axes, title in zip(panels, ("Objective", "Training loss"), strict=True):
            empty_panel(axes, title, "no finished epoch")
        return save_figure(figure, path)
    top = rows.nlargest(1, "objective").iloc[0]
    best, others = (rows[rows["trial_id"].eq(top["trial_id"]) == same] for same in (True, False))
    for axes, column in zip(panels, ("objective", "loss"), strict=True):
        for i, (_, curve) in enumerate(others.groupby("trial_id")):
            axes.plot(curve["epoch"], curve[column], label="" if i else "other trials", **_OTHER)
            if curve["epoch"].iloc[-1] < rows["epoch"].max():
                axes.plot(*curve[["epoch", column]].iloc[-1], label="ended early", **_ENDED)
        axes.plot(best["epoch"], best[column], label=f"best trial {top['trial_id']}", **_BEST)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch")
    left, right = panels
    for level, colour in zip(LEVELS, (BLUE, GREEN), strict=True):
        if f"{level}_harmonic" in best:
            name = f"best trial, {_TITLES[level].lower()} part"
            left.plot(
                best["epoch"], best[f"{level}_harmonic"], "--", marker=".", color=colour, label=name
            )
    left.scatter(top["epoch"], top["objective"], **STAR)
    percent_axis(left.yaxis)
    left.set_ylabel("objective: mean of harmonic means")
    right.set_yscale("log")
    log_axis(right.yaxis)
    right.set_ylabel("loss (log scale)")
    note = f"best {percent_label(top['objective'])}, epoch {int(top['epoch'])}"
    set_title(left, "Objective", f"in-sample (the search's own folds): {note}")
    set_title(right, "Training loss")
    draw_legend(figure, panels)
    save_figure(figure, path)


def plot_trade_off(table: ScoreTable, rule: Rule, path: Path) -> None:
    """Seen against unseen accuracy over thresholds.

    Shown are `msp`, the best single scores of each level and the rule's own. A solid line is one
    level alone. The points are whole rules (the given one and the paper's), in which a novel
    super-class implies a novel sub-class; the dashed line is the rule's sub-score with that
    applied.

    Args:
        table: a score table.
        rule: the chosen rule.
        path: PNG file to write.
    """
    figure, panels = new_figure(2, (10, 5.9))
    parts = [name.partition("_") for name in table.frame.columns]
    names = dict.fromkeys(x for level, _, x in parts if level in LEVELS and x in SCORES)
    own = {level: rule[level].score for level in LEVELS}
    shown = {level: best_curves(table, level, list(names)) for level in LEVELS}
    # A weighted sum is not a column: it gets a colour of its own and a short name.
    every = dict.fromkeys([*shown["super"], *shown["sub"], *own.values()])
    colours = dict(zip([*every, ""], _CURVES, strict=False))
    assert len(every) < len(_CURVES)
    points = [("chosen rule", rule, STAR)]
    if {"super_msp", "sub_msp"} <= set(table.frame.columns):
        points.append(("paper's rule", PAPER_RULE, _DIAMOND))
    found: list[tuple[str, dict[str, Any], dict[str, Any]]]
    found = [(label, evaluate_rule(table, point), style) for label, point, style in points]
    for level, axes in zip(LEVELS, panels, strict=True):
        axes.set_box_aspect(1)
        rows = table.labelled(level)
        if not rows[level].judged:
            empty_panel(axes, _TITLES[level], _missing(rows[level].known))
            continue
        iso_lines(axes)
        for name in dict.fromkeys([*shown[level], own[level]]):
            _, seen, unseen = thinned_curve(rows, level, rows.score(level, name))
            axes.plot(unseen, seen, color=colours[name], lw=1.8, label=_short(name, level))
        if level == "sub":
            scores = {each: table.score(each, rule[each].score) for each in LEVELS}
            novel = novel_rows(scores, {each: rule[each].tau for each in LEVELS})["super"]
            score = scores["sub"]
            _, seen, unseen = thinned_curve(table, level, np.where(novel, score.max() + 1, score))
            label = "chosen, after the super rule"
            axes.plot(unseen, seen, "--", color=colours[""], lw=1.4, label=label)
        for label, values, style in found:
            axes.scatter(values[f"{level}_unseen"], values[f"{level}_seen"], label=label, **style)
        figures = (
            f"{x} {percent_label(found[0][1][f'{level}_{x}'])}"
            for x in ("seen", "unseen", "harmonic")
        )
        set_title(axes, _TITLES[level], f"in-sample: {', '.join(figures)}")
    draw_legend(figure, panels)
    save_figure(figure, path)


def _short(score: str, level: Level | None = None) -> str:
    """A score's name, or "sum of N" for a weighted sum."""
    n_terms = len(parse_score(score))
    if n_terms == 1:
        return score
    return f"sum of {n_terms}" if level is None else f"{level} sum of {n_terms}"


def plot_tau_map(table: ScoreTable, rule: Rule, path: Path) -> None:
    """Heat map of the objective over both thresholds, with the rule's own marked.

    The axes are quantiles of the scores, so that thresholds are evenly spread over the images; tick
    labels are thresholds.

    Args:
        table: a score table.
        rule: its scores, and the thresholds to mark.
        path: PNG file to write.
    """
    figure, (axes,) = new_figure(1, (7.0, 6.2))
    if not any(table[level].judged for level in LEVELS):
        empty_panel(axes, "Objective", "no level has both known and novel images")
        return save_figure(figure, path)
    found = tau_map(table, rule)
    x, y = found.super_grid, found.sub_grid
    values = found.objective.T
    style: dict[str, Any] = {"cmap": "cividis", "vmin": 0.0, "vmax": values.max() or 1.0}
    mesh = axes.pcolormesh(x.quantiles, y.quantiles, values, shading="nearest", **style)
    percent_axis(figure.colorbar(mesh, label="objective").ax.yaxis)
    own = np.searchsorted(x.taus, rule.super.tau), np.searchsorted(y.taus, rule.sub.tau)
    axes.scatter(
        x.quantiles[own[0]], y.quantiles[own[1]], label="chosen rule", clip_on=False, **STAR
    )
    for axis, grid in ((axes.xaxis, x), (axes.yaxis, y)):
        ticks = [int(np.abs(grid.quantiles - q).argmin()) for q in np.linspace(0, 1, 6)]
        axis.set_ticks(grid.quantiles[ticks], [f"{grid.taus[i]:.3g}" for i in ticks])
    axes.set_xlabel(f"super_tau on {_short(rule.super.score)} (a tick per 20 % of images)")
    axes.set_ylabel(f"sub_tau on {_short(rule.sub.score)} (a tick per 20 % of images)")
    axes.grid(visible=False)
    chosen, top = values[own[1], own[0]], values.max()
    if values.min() < top - 0.01:
        axes.contour(
            x.quantiles, y.quantiles, values, levels=[top - 0.01], colors="k", linewidths=1.2
        )
    axes.plot([], [], color="k", lw=1.2, label="within 1 point of the best")
    note = f"chosen {percent_label(chosen)}, best of this grid {percent_label(top)}"
    set_title(axes, "Objective", f"in-sample: {note}")
    draw_legend(figure, [axes])
    save_figure(figure, path)


def plot_score_histograms(table: ScoreTable, rule: Rule, path: Path) -> None:
    """Histograms of the rule's scores over known and novel images, with its thresholds.

    Args:
        table: a score table.
        rule: scores and thresholds.
        path: PNG file to write.
    """
    figure, panels = new_figure(2, (10, 4.3))
    for level, axes in zip(LEVELS, panels, strict=True):
        name, tau = rule[level]
        labelled = table.labelled(level)
        score, known = labelled.score(level, name), labelled[level].known
        # Without the extremes, which would compress all other scores.
        low, high = np.quantile(score, [0.001, 0.999])
        edges = np.linspace(low, high if high > low else low + 1.0, 46)
        for label, rows, colour in (("known", known, BLUE), ("novel", ~known, ORANGE)):
            if rows.any():
                height = np.histogram(score[rows], edges)[0] / rows.sum()
                axes.stairs(height, edges, fill=True, color=colour, alpha=0.35)
                axes.stairs(height, edges, color=colour, lw=1.6, label=f"{label} images")
        inside = edges[0] <= tau <= edges[-1]
        if inside:
            axes.axvline(tau, color="k", ls="--", lw=1.3, label="tau: novel to the right of it")
        notes = [f"in-sample: tau {tau:.3g}" + ("" if inside else " (not in view)")]
        for word, rows, where in (("known", known, "below"), ("novel", ~known, "above")):
            found = (score[rows] > tau) == (where == "above")
            fraction = f"{percent_label(found.mean())} {where}" if rows.any() else "no images"
            notes.append(f"{word}: {fraction}")
        set_title(axes, _TITLES[level], "; ".join(notes))
        axes.set_xlabel(f"{_short(name, level)} (higher = more novel)")
        percent_axis(axes.yaxis)
    panels[0].set_ylabel("fraction of known / of novel images")
    draw_legend(figure, panels)
    save_figure(figure, path)


def _missing(known: Bools) -> str:
    return "no novel images at this level" if known.any() else "no known images at this level"
