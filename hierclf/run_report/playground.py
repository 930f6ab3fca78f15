"""The compact table behind the threshold playground: margins of the held-out images.

A margin is how far an image's score lies above the threshold, in units of the score's spread (see
`hierclf.rules.moved`). It is rounded up to whole steps, so that every threshold at a whole step
decides exactly as the table of the run does.

Shape legend: M judged rows that may report.
"""

import base64
from typing import Any

import numpy as np

from hierclf.hierarchy import LEVELS, UNLABELLED
from hierclf.rules.evidence import Evidence
from hierclf.rules.figures import DEFAULT_MIX
from hierclf.rules.moved import score_spreads
from hierclf.rules.promise import draw_for_promise
from hierclf.run_report.judged import Judged
from hierclf.run_report.run_files import RunFiles

STEP = 0.001
"""Of a margin, in units of the score's spread."""
MAX_ROWS = 100_000
"""Of more, a sample is kept: 7 bytes a row stay below a megabyte."""
_LIMIT = 32_767


def playground(run: RunFiles, judged: Judged) -> dict[str, Any]:
    """The table and what turns steps into thresholds, as plain JSON values.

    Returns:
        step; rows (M) and of (before the sample); super and sub, each with tau (that of step 0),
        deployed (the threshold in the model directory), unit (a step, in the score's units); mix;
        the columns in base64: super_margin and sub_margin (int16, steps), unit (uint16, a class
        numbered within its kind), flags (uint8: kind + 4 super_right + 8 sub_right + 16 labelled at
        the super level); and the draws of new classes that a promise rests on, see `_draws`.
    """
    rows = _sample(np.flatnonzero(judged.may_report))
    table, found = judged.table.take(rows), judged.found.iloc[rows]
    evidence = Evidence.of(table)
    flags = (
        evidence.kind.astype(np.uint8)
        + 4 * evidence.super_right.astype(np.uint8)
        + 8 * evidence.sub_right.astype(np.uint8)
        + 16 * (table.super.labels != UNLABELLED).astype(np.uint8)
    )
    spreads = score_spreads(run.table, run.rule)
    steps = {
        level: np.clip(
            np.ceil(found[f"{level}_margin"].to_numpy(np.float64) / STEP), -_LIMIT, _LIMIT
        )
        for level in LEVELS
    }
    return {
        "step": STEP,
        "rows": len(rows),
        "of": int(judged.may_report.sum()),
        "mix": DEFAULT_MIX._asdict(),
        **{
            level: {
                "tau": run.rule[level].tau,
                "deployed": run.deployed[level].tau,
                "unit": spreads[level] * STEP,
            }
            for level in LEVELS
        },
        "super_margin": _encoded(steps["super"], "<i2"),
        "sub_margin": _encoded(steps["sub"], "<i2"),
        "unit": _encoded(_units(evidence), "<u2"),
        "flags": _encoded(flags, "<u1"),
        "draws": _draws(evidence),
    }


def _draws(evidence: Evidence) -> dict[str, Any]:
    """The draws of `promise`, but for known classes, of which they would be large.

    Returns:
        near, hidden: by the number of new sub-classes and of hidden super-classes at hand, which of
        them each draw meets (uint16 [D, M]); chi, mean, each: where a new super-class lies (float32
        [D]); all in base64.
    """
    drawn = draw_for_promise(evidence)
    far = {} if drawn.far is None else drawn.far._asdict()
    met = {"near": drawn.near, "hidden": drawn.hidden}
    return {
        **{
            kind: {str(n): _encoded(classes, "<u2") for n, classes in draws.items()}
            for kind, draws in met.items()
        },
        **{name: _encoded(values.ravel(), "<f4") for name, values in far.items()},
    }


def _sample(rows: np.ndarray) -> np.ndarray:
    """All rows, or `MAX_ROWS` of them drawn at random, always the same."""
    if len(rows) <= MAX_ROWS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MAX_ROWS, replace=False))


def _units(evidence: Evidence) -> np.ndarray:
    """Each row's class, numbered within its kind from 0."""
    units = np.zeros(len(evidence.kind), dtype=np.int64)
    for kind in np.unique(evidence.kind):
        rows = evidence.rows(kind)
        units[rows] = np.unique(evidence.unit[rows], return_inverse=True)[1]
    return np.minimum(units, 65_535)


def _encoded(values: np.ndarray, dtype: str) -> str:
    return base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")
