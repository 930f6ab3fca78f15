"""Draws the pictures of the guides: `python docs/pictures/draw.py`.

They are SVG files that follow the reader's light or dark colour scheme.
"""

import io
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# What matplotlib draws, and what a browser shows: name, light, dark.
COLOURS = {
    "#010101": ("ink", "#1f2328", "#e6e6e6"),
    "#020202": ("faint", "#6a737d", "#9aa4ae"),
    "#030303": ("known", "#9ec5f0", "#2f5d91"),
    "#040404": ("hidden", "#f2a65a", "#b8651b"),
    "#050505": ("line", "#0b63b5", "#6cb2ff"),
    "#060606": ("found", "#b35900", "#ffae5c"),
}
INK, FAINT, KNOWN, HIDDEN, LINE, FOUND = COLOURS
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hierclf",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
}


def save(figure: Figure, name: str) -> None:
    """Write an SVG whose colours are variables of its style sheet."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    light, dark = "", ""
    for drawn, (variable, by_day, by_night) in COLOURS.items():
        svg = svg.replace(drawn, f"var(--{variable})")
        light += f"--{variable}:{by_day};"
        dark += f"--{variable}:{by_night};"
    sheet = f"svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"
    head, tail = svg.split("</metadata>", 1)
    svg = f"{head}</metadata>\n <style>{sheet}</style>{tail}"
    lines = [line.rstrip() for line in svg.splitlines()]
    (HERE / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def folds() -> None:
    """What each kind of fold hides: three super-classes of four sub-classes."""
    names = ("bird", "dog", "reptile")
    kinds = {
        "sub fold": {(0, 1), (1, 3), (2, 0)},
        "super fold": {(1, i) for i in range(4)},
        "mixed fold": {(1, i) for i in range(4)} | {(0, 2), (2, 1), (2, 3)},
    }
    figure = Figure(figsize=(6, 1.9), layout="constrained")
    for axes, (title, hidden) in zip(figure.subplots(1, 3), kinds.items(), strict=True):
        axes.set(xlim=(-1.75, 4.1), ylim=(3.15, -0.75), aspect="equal")
        axes.axis("off")
        axes.set_title(title, fontweight="bold", color=INK)
        for row, name in enumerate(names):
            axes.text(-0.2, row + 0.42, name, ha="right", va="center")
            for i in range(4):
                _cell(axes, i, row, HIDDEN if (row, i) in hidden else KNOWN)
    axes = figure.axes[0]
    _cell(axes, -1.6, -0.72, KNOWN, size=0.45)
    axes.text(-1.0, -0.5, "trained on", va="center", fontsize=9)
    _cell(axes, 1.2, -0.72, HIDDEN, size=0.45)
    axes.text(1.8, -0.5, "hidden", va="center", fontsize=9)
    save(figure, "folds.svg")


def _cell(axes: Axes, x: float, y: float, colour: str, size: float = 0.84) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x + 0.06, y + 0.06),
            size - 0.12,
            size - 0.12,
            boxstyle=f"round,pad=0.05,rounding_size={0.16 * size}",
            facecolor=colour,
            edgecolor="none",
        )
    )


def worlds() -> None:
    """Per world, the interval promised for new super-classes, and what was found."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axes, data in zip(both, ("animals", "groceries"), strict=True):
        table = pd.read_csv(ROOT / "results" / f"new_classes_{data}.csv")
        rows = table[(table.figure == "super_unseen") & (table.world >= 60)]  # of the same rule
        rows = rows.sort_values("expected", ignore_index=True)
        axes.vlines(rows.index, 100 * rows.low, 100 * rows.high, color=LINE, alpha=0.45, lw=4)
        axes.plot(rows.index, 100 * rows.expected, "_", color=LINE, ms=8, mew=2, label="promised")
        axes.plot(rows.index, 100 * rows.found, "o", color=FOUND, ms=5, label="found")
        axes.set(title=data, xticks=[], xlabel=f"{len(rows)} worlds", ylim=(0, 103))
        axes.spines[["top", "right"]].set_visible(False)
    both[0].set_ylabel("new super-class found, %")
    both[0].legend(loc="lower right", frameon=False)
    save(figure, "worlds.svg")


if __name__ == "__main__":
    with mpl.rc_context(STYLE):
        folds()
        worlds()
