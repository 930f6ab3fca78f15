"""The median stopping rule, over what earlier processes of a search reported, too.

Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization", section 3.2.
"""

from typing import Any

import numpy as np
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search.trials.ledger import reports

_FEWEST = 3
"""Other trials that must have come as far before any is stopped."""


class MedianStop(FIFOScheduler):
    """Stops a trial whose best value is below the median of the others' running means.

    Decides as `ray.tune.schedulers.MedianStoppingRule` with `mode="max"`, which forgets all reports
    when its process ends, and which pauses trials as long as there are few, so that a paused
    Ray Train run would start again. The metric is the one of `tune.TuneConfig`.

    Args:
        storage: folder of the stage, with the reports of an earlier process.
        epochs: length of a trial; reports carry `epoch`.
        grace_epochs: no trial is stopped before it, and running means begin with it.
    """

    def __init__(self, storage: str, *, epochs: int, grace_epochs: int) -> None:
        super().__init__()
        self._storage, self._epochs, self._grace = storage, epochs, grace_epochs
        self._values: dict[str, dict[int, float]] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Read what an earlier process kept of the trial."""
        table = reports(self._storage, trial.trial_id)
        if table is not None and self.metric in table:
            told = zip(table["epoch"], table[self.metric], strict=True)
            self._values[trial.trial_id] = {int(epoch): float(value) for epoch, value in told}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict) -> str:
        """STOP for a trial below the median, else CONTINUE."""
        epoch, own = int(result["epoch"]), self._values.setdefault(trial.trial_id, {})
        own[epoch] = result[self.metric]
        if not self._grace <= epoch < self._epochs:
            return self.CONTINUE
        means = [
            np.mean([value for at, value in other.items() if self._grace <= at <= epoch])
            for name, other in self._values.items()
            if name != trial.trial_id and max(other) >= epoch
        ]
        if len(means) < _FEWEST or max(own.values()) >= np.median(means):
            return self.CONTINUE
        return self.STOP
