"""ASHA whose rungs survive a restart: Tune saves trials and the sampler of a search, not its rungs.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from hierclf.io.atomic import draft_of


class PersistentASHA(FIFOScheduler):
    """Asynchronous successive halving with its rungs in a JSON file.

    Decides as `ray.tune.schedulers.ASHAScheduler` with one bracket and `mode="max"`: a trial that
    reaches a rung continues unless its metric is below the quantile of the trials that reached the
    rung before it. The metric is the one of `tune.TuneConfig`.

    Args:
        path: of the JSON file; its folder exists. A search that is resumed reads its rungs from it.
        epochs: length of a trial; reports carry `epoch`.
        grace_epochs: the first rung; no trial is stopped before it.
        reduction_factor: ratio of successive rungs; the best 1 / reduction_factor pass a rung.
    """

    def __init__(
        self, path: Path, *, epochs: int, grace_epochs: int, reduction_factor: int
    ) -> None:
        super().__init__()
        self._path = path
        self._percentile = 100 * (1 - 1 / reduction_factor)
        self._rungs: dict[int, dict[str, float]] = {}
        self._restored = False
        rung = grace_epochs
        while rung < epochs:  # a trial that has reached its end needs no stop
            self._rungs[rung] = {}
            rung *= reduction_factor

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Read the rungs of an earlier process before the first decision."""
        if not self._restored and self._path.is_file():
            kept = json.loads(self._path.read_text())
            self._rungs = {rung: kept.get(str(rung), {}) for rung in self._rungs}
        self._restored = True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """STOP for a trial that fails the rung it has just reached, else CONTINUE."""
        reached = [rung for rung in self._rungs if rung <= result["epoch"]]
        if not reached or trial.trial_id in self._rungs[reached[-1]]:
            return self.CONTINUE
        value, recorded = result[self.metric], self._rungs[reached[-1]]
        passes = not recorded or value >= np.percentile(list(recorded.values()), self._percentile)
        recorded[trial.trial_id] = value
        with draft_of(self._path) as draft:
            draft.write_text(json.dumps(self._rungs))
        return self.CONTINUE if passes else self.STOP
