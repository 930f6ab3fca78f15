"""The objective of a search's trials against the values that the search varied."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hierclf.config import Choices, Space
from hierclf.config.space import Scalar, short_names, shown
from hierclf.reports.style import (
    BLUE,
    STAR,
    draw_legend,
    log_axis,
    new_grid,
    percent_axis,
    save_figure,
    set_title,
)

_LONGEST = 14
"""Characters of a choice below an axis."""


def plot_parameters(trials: pd.DataFrame, space: Space, path: Path) -> None:
    """Draw one panel per searched value: the objective of every trial, the best one marked.

    Args:
        trials: one row per trial: a column for each key of `space`, objective in [0, 1] (may be
            NaN) and status (`finished`, `stopped early` or `failed`).
        space: what the search varied.
        path: of the PNG file.
    """
    failed = trials["status"].eq("failed") | trials["objective"].isna()
    early = trials["status"].eq("stopped early")
    kinds = (("finished", ~failed & ~early, BLUE), ("stopped early", ~failed & early, "none"))
    best = trials[~failed].nlargest(1, "objective")
    figure, panels = new_grid(len(space))
    for axes, (key, name) in zip(panels, short_names(space).items(), strict=True):
        x = _positions(trials[key], space, key)
        for label, chosen, fill in (kind for kind in kinds if kind[1].any()):
            style: dict[str, Any] = {"s": 36, "facecolors": fill, "edgecolors": BLUE, "alpha": 0.8}
            axes.scatter(x[chosen], trials.loc[chosen, "objective"], label=label, **style)
        if failed.any():
            # At the bottom whatever the scale: a failed trial has no objective.
            place = axes.get_xaxis_transform()
            axes.plot(x[failed], np.full(failed.sum(), 0.04), "kx", label="failed", transform=place)
        if len(best):
            axes.scatter(x[best.index], best["objective"], label="best", **STAR)
        set_title(axes, name, f"best {shown(best[key].iloc[0])}" if len(best) else "")
        _scale(axes, space, key)
        axes.margins(y=0.15)
        if best.empty:
            axes.set_ylim(0.0, 1.0)
        percent_axis(axes.yaxis)
        axes.set_ylabel("objective (in-sample)" if axes.get_subplotspec().is_first_col() else "")  # type: ignore[union-attr]
    draw_legend(figure, panels)
    save_figure(figure, path)


def _positions(values: pd.Series, space: Space, key: str) -> pd.Series:
    """Where trials stand on the axis of a key: at their value, or at the number of their choice."""
    parameter = space[key]
    if not isinstance(parameter, Choices):
        return values.astype(float)
    numbers = {_text(choice): number for number, choice in enumerate(parameter.choices)}
    return values.map(lambda value: numbers.get(_text(value), np.nan)).astype(float)


def _scale(axes: Axes, space: Space, key: str) -> None:
    parameter = space[key]
    if isinstance(parameter, Choices):
        texts = [_text(choice) for choice in parameter.choices]
        axes.set_xticks(range(len(texts)), [_shortened(text) for text in texts])
        axes.set_xlim(-0.5, len(texts) - 0.5)
    elif parameter.log:
        axes.set_xscale("log")
        log_axis(axes.xaxis)
    log = not isinstance(parameter, Choices) and parameter.log
    axes.set_xlabel(f"{key} (log scale)" if log else key)


def _text(value: Scalar) -> str:
    """A choice as text, equal for 64 and 64.0 and for null and a gap in a column of numbers."""
    if value is None or value != value:
        return "null"
    if isinstance(value, str):
        try:
            return f"{float(value):g}"
        except ValueError:
            return value
    return str(value).lower() if isinstance(value, bool | np.bool_) else f"{float(value):g}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"...{text[3 - _LONGEST :]}"
