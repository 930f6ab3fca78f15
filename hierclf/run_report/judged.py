"""The held-out images of a run, each judged by a rule that was chosen without its class.

Shape legend: M judged rows.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.rules.evidence import Evidence
from hierclf.rules.goals import BALANCED
from hierclf.rules.promise import Promised, cross_fitted_promise
from hierclf.rules.score_table import ScoreTable
from hierclf.run_report.run_files import RunFiles


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows of the folds that report.

    Attributes:
        table: M rows of the score table.
        found: M rows, same order: pred_super, pred_sub (`NOVEL` or model index), super_margin and
            sub_margin (above 0 is novel), as `cross_fit` gives them.
        may_report: bool [M]; False where the class had a say in the hyper-parameters.
        evidence: of the M rows.
    """

    table: ScoreTable
    found: pd.DataFrame
    may_report: NDArray[np.bool_]
    evidence: Evidence


def judge(run: RunFiles) -> Judged:
    """Cross-fit the rules of a run again, as its threshold stage did.

    Raises:
        ValueError: what `cross_fitted_promise` raises.
    """
    try:
        promised = _promised(run, balanced=False)
    except ValueError:
        # The run met the same error, and chose balanced thresholds.
        promised = _promised(run, balanced=True)
    found = promised.fit.predictions
    table = run.table.take(found.index)
    return Judged(
        table=table,
        found=found.reset_index(drop=True),
        may_report=run.report[found.index],
        evidence=Evidence.of(table),
    )


def _promised(run: RunFiles, *, balanced: bool) -> Promised:
    settings = run.config.thresholds
    goal = BALANCED if balanced else settings.target
    scores = [name for name in settings.scores if f"sub_{name}" in run.table.frame]
    return cross_fitted_promise(run.table, run.parts, run.report, scores, goal=goal)
