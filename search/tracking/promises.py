"""A promise as MLflow holds it: metrics of a run, and the value that versions compete by."""

import numpy as np

from hierclf.hierarchy import LEVELS
from hierclf.rules.figures import Promise


def promise_metrics(promise: Promise) -> dict[str, float]:
    """A promise as MLflow metrics: held_out.KEY, and KEY_low and KEY_high."""
    metrics: dict[str, float] = {}
    for key, figure in promise.items():
        if figure is not None:
            ends = ("", "_low", "_high")
            metrics |= {f"held_out.{key}{end}": x for end, x in zip(ends, figure, strict=True)}
    return metrics


def promised_value(promise: Promise) -> float:
    """The mean of the promised harmonic means, in [0, 1]: what versions of a model compete by.

    0 where neither level could be judged.
    """
    figures = [promise[f"{level}_harmonic"] for level in LEVELS]
    return float(np.mean([figure.expected for figure in figures if figure is not None] or [0.0]))
