"""The common style of the plots, without matplotlib's global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from hierclf.io.atomic import draft_of
from hierclf.metrics.text import percent

# The colour-blind safe palette of Okabe and Ito.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
GREY = "#666666"
_ROW = 0.24
"""Height of a row of a legend, in inches."""
STAR: dict[str, Any] = {"marker": "*", "s": 240, "c": RED, "edgecolors": "white", "zorder": 6}
_ISO_LABEL: dict[str, Any] = {"color": "#A0A0A0", "fontsize": 7.5, "backgroundcolor": "w"}
_ISO_LABEL |= {"ha": "center", "va": "center"}


def new_figure(n: int, size: tuple[float, float], **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of n panels side by side.

    Args:
        n: number of panels.
        size: width and height in inches.
        options: of `Figure.subplots`.
    """
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, n, squeeze=False, **options)[0])
    for axes in panels:
        _tidy(axes)
    return figure, panels


def new_grid(n: int) -> tuple[Figure, list[Axes]]:
    """A figure of n panels, three per row, that share the scale of y."""
    columns, rows = min(n, 3), -(-n // 3)
    figure = Figure(figsize=(max(3.7 * columns, 5.0), 4.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in every[n:]:
        axes.remove()
    panels = list(every[:n])
    for axes in panels:
        _tidy(axes)
    return figure, panels


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", lw=0.7)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG file at 150 dpi, atomically."""
    with draft_of(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def set_title(axes: Axes, title: str, subtitle: str = "") -> None:
    """A bold title with a smaller subtitle below it."""
    axes.set_title(title, loc="left", fontweight="bold", pad=22)
    note = axes.text(0, 1.025, subtitle, transform=axes.transAxes, color=GREY, fontsize=9)
    note.set_in_layout(False)


def empty_panel(axes: Axes, title: str, message: str) -> None:
    """Turn a panel into a message, where there is nothing to plot."""
    set_title(axes, title)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#D8D8D8")
    axes.text(0.5, 0.5, message, transform=axes.transAxes, ha="center", color=GREY)


def draw_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend below all panels; equal labels appear once."""
    pairs = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels]
    entries = {label: handle for pair in pairs for handle, label in pair}
    if entries:
        handles, columns = list(entries.values()), min(len(entries), 3)
        # Each row beyond two takes its own height, not that of panels and titles.
        rows = -(-len(entries) // columns)
        figure.set_figheight(figure.get_figheight() + _ROW * max(0, rows - 2))
        figure.legend(
            handles, list(entries), loc="outside lower center", ncols=columns, frameon=False
        )


def iso_lines(axes: Axes) -> None:
    """Faint lines of equal harmonic mean on axes of 0 to 100 %."""
    seen = np.linspace(0.0, 1.0, 201)
    for mean in np.arange(0.2, 1.0, 0.1):
        x = seen[seen > mean / 2]
        line = axes.plot(x, mean * x / (2 * x - mean), color="#D8D8D8", lw=0.8, zorder=0.5)
        axes.text(mean, mean, f"{100 * mean:.0f}", zorder=0.6, **_ISO_LABEL)
    line[0].set_label("equal harmonic mean (%)")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="unseen accuracy", ylabel="seen accuracy")
    for axis in (axes.xaxis, axes.yaxis):
        percent_axis(axis)
    axes.grid(visible=False)


def percent_axis(axis: Axis) -> None:
    """Ticks such as 25 % for fractions in [0, 1]."""
    axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda fraction, _: f"{100 * fraction:.3g} %")


def log_axis(axis: Axis) -> None:
    """Ticks such as 0.001; also 2 and 5 times a power of ten where the axis is short."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 50.0 * low else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def percent_label(fraction: float | None) -> str:
    """A fraction such as "96.5 %"; "none" without one."""
    return "none" if fraction is None else f"{percent(fraction)} %"
