"""Unlabelled images of a place of use, drawn as score tables; their new classes are its own."""

import numpy as np
import pandas as pd

from hierclf.rules.evidence import FAR, KINDS, KNOWN, NEAR, Evidence
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import draw_table

# Location of the scores of each kind at the super and the sub level.
PLACE_OF = {KNOWN: (0.0, 0.0), NEAR: (0.7, 1.8), FAR: (2.7, 2.8)}


def place_of(n: int, far: float, near: float, *, seed: int) -> ScoreTable:
    """Images like those of `draw_table`, of which given shares are of new classes."""
    rng = np.random.default_rng([seed, 1])
    table = ScoreTable(draw_table(8000, seed=1000 + seed))
    evidence = Evidence.of(table)
    counts = rng.multinomial(n, [1.0 - far - near, near, far])
    rows = [
        rng.choice(np.flatnonzero(evidence.rows(k)), m) for k, m in zip(KINDS, counts, strict=True)
    ]
    return table.take(np.concatenate(rows))


def world_of(
    n: int, far: float, near: float, *, n_super: int = 8, n_sub: int = 40, seed: int
) -> tuple[ScoreTable, ScoreTable]:
    """A score table with one score `s`, and n images of a place.

    Every class has a location of its own. The known classes of the place are those of the table,
    the new ones are drawn anew.
    """
    rng = np.random.default_rng(seed)
    n_classes = {KNOWN: n_sub, NEAR: n_sub, FAR: n_super}
    table, place = [], []
    counts = dict(zip(KINDS, rng.multinomial(n, [1.0 - far - near, near, far]), strict=True))
    for kind, per in ((KNOWN, 40), (NEAR, 30), (FAR, 200)):
        classes = n_classes[kind]
        spread = 0.35 if kind == KNOWN else 0.7
        here, there = spread * rng.normal(size=(2, classes))
        table.append(_rows(kind, np.repeat(np.arange(classes), per), here, rng))
        met = rng.integers(classes, size=counts[kind])
        place.append(_rows(kind, met, here if kind == KNOWN else there, rng))
    return ScoreTable.concatenate(table), ScoreTable.concatenate(place)


def _rows(
    kind: int, units: np.ndarray, locations: np.ndarray, rng: np.random.Generator
) -> ScoreTable:
    base = locations[units] + 0.8 * rng.normal(size=len(units))
    scores = [shift + base + 0.8 * rng.normal(size=len(units)) for shift in PLACE_OF[kind]]
    frame = pd.DataFrame({"super_s": scores[0], "sub_s": scores[1]})
    frame["super_label"] = frame["sub_label"] = units.astype(np.int64)
    frame["super_pred"] = frame["sub_pred"] = frame["sub_label"]
    frame["super_known"], frame["sub_known"] = kind != FAR, kind == KNOWN
    return ScoreTable(frame)
