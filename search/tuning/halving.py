"""ASHA that outlives its process: Tune saves a search's trials and its sampler, but not the rungs.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning".
"""

import json
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler

from hierclf.io.atomic import draft_of


class PersistentASHA(AsyncHyperBandScheduler):
    """ASHA whose rungs are kept in a JSON file, and read from it when a search is resumed.

    Without them the first trial after a resume would be judged against nothing.

    Args:
        path: of the JSON file; its folder exists.
        options: of `AsyncHyperBandScheduler`, with one bracket.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        self._path = path
        self._restored = False

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        if not self._restored and self._path.is_file():
            kept = json.loads(self._path.read_text())
            for milestone, recorded in self._brackets[0]._rungs:
                recorded.update(kept.get(str(milestone), {}))
        self._restored = True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        before = self._recorded()
        action = super().on_trial_result(tune_controller, trial, result)
        if self._recorded() != before:
            rungs = {str(milestone): recorded for milestone, recorded in self._brackets[0]._rungs}
            with draft_of(self._path) as draft:
                draft.write_text(json.dumps(rungs))
        return action

    def _recorded(self) -> int:
        return sum(len(recorded) for _, recorded in self._brackets[0]._rungs)
