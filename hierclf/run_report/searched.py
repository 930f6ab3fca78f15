"""The search of a run: hyper-parameters with their bounds, the trials, what the search gained."""

import math
from typing import Any

import pandas as pd

from hierclf.config import Choices, Interval
from hierclf.config.space import Scalar, short_names, shown
from hierclf.run_report.facts import duration
from hierclf.run_report.run_files import RunFiles

MAX_TRIALS = 200
_EDGE = 0.02
"""A value this near to an end of its interval, as a fraction of its width, is at the edge."""


def parameters(run: RunFiles) -> list[dict[str, Any]]:
    """One row per searched value: key, bounds (text), own, best, deployed (texts), at_edge."""
    deployed = run.summary["deployed"]["values"]
    trials = _good_trials(run)
    rows = []
    for key, parameter in run.config.search.space.items():
        best = None if trials is None or trials.empty else trials.iloc[0][key]
        own = run.config.value(key)
        rows.append(
            {
                "key": key,
                "bounds": _bounds(parameter),
                "own": shown(own),
                "best": "-" if best is None else shown(best),
                "deployed": shown(deployed.get(key, own)),
                "at_edge": best is not None and _at_edge(parameter, best),
            }
        )
    return rows


def trial_rows(run: RunFiles) -> dict[str, Any]:
    """The trials as in trials.parquet, the best first, at most `MAX_TRIALS`.

    Returns:
        names: of the searched values; rows: trial_id, status, values (texts), epochs, objective
        (None if failed), seconds (text), failure; of: how many trials there are.
    """
    if run.trials is None:
        return {"names": [], "rows": [], "of": 0}
    keys = [key for key in run.config.search.space if key in run.trials]
    rows = [
        {
            "trial_id": str(row["trial_id"]),
            "status": str(row["status"]),
            "values": [shown(row[key]) for key in keys],
            "epochs": int(row["epochs"]),
            "objective": _number(row["objective"]),
            "seconds": duration(float(row["seconds"])),
            "failure": str(row["failure"] or ""),
        }
        for row in run.trials.head(MAX_TRIALS).to_dict("records")
    ]
    names = [short_names(keys)[key] for key in keys]
    return {"names": names, "rows": rows, "of": len(run.trials)}


def parameter_panels(run: RunFiles) -> list[dict[str, Any]]:
    """For each searched number, the objective of every trial: what the charts draw.

    Returns:
        name, low, high, log, and points (x, y, status), trials without an objective left out.
    """
    if run.trials is None:
        return []
    panels = []
    names = short_names(run.config.search.space)
    for key, parameter in run.config.search.space.items():
        if key not in run.trials:
            continue
        rows = run.trials[["objective", "status", key]].to_dict("records")
        choices = [shown(c) for c in parameter.choices] if isinstance(parameter, Choices) else []
        points = [
            {
                "x": choices.index(shown(row[key])) if choices else float(row[key]),
                "y": _number(row["objective"]),
                "status": str(row["status"]),
            }
            for row in rows
            if _number(row["objective"]) is not None and (not choices or shown(row[key]) in choices)
        ]
        if isinstance(parameter, Interval):
            ends = {"low": parameter.low, "high": parameter.high, "log": parameter.log}
        else:
            ends = {"low": -0.5, "high": len(choices) - 0.5, "log": False}
        panels.append({"name": names[key], "choices": choices, "points": points, **ends})
    return panels


def _good_trials(run: RunFiles) -> pd.DataFrame | None:
    if run.trials is None:
        return None
    return run.trials[(run.trials["status"] != "failed") & run.trials["objective"].notna()]


def _bounds(parameter: Interval | Choices) -> str:
    if isinstance(parameter, Choices):
        return ", ".join(shown(choice) for choice in parameter.choices)
    scale = ", log scale" if parameter.log else ""
    step = "" if parameter.step is None else f", step {parameter.step:g}"
    return f"{parameter.low:g} to {parameter.high:g}{scale}{step}"


def _at_edge(parameter: Interval | Choices, value: Scalar) -> bool:
    if isinstance(parameter, Choices) or not isinstance(value, int | float):
        return False
    ends = (parameter.low, float(value), parameter.high)
    low, at, high = (math.log(x) for x in ends) if parameter.log else ends
    return min(at - low, high - at) < _EDGE * (high - low)


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
