"""A trial that trains heads on cached features: seconds of work, in a process that is reused.

Tune runs one configuration after the other in the same process, which imports torch and maps the
features once. A Ray Train run would start three processes for each, longer than it trains.
"""

import time
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.result import RESULT_DUPLICATE, SHOULD_CHECKPOINT

from hierclf.config import Config, parse_config
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import Prepared
from hierclf.training.reopen import feature_key
from search.trials.epochs import CHECKPOINT_EVERY_S, restore, run_epochs, save, write_results
from search.trials.ledger import earlier_end
from search.trials.plan import FOLDS, Job, searched
from search.trials.prepared import open_prepared


class HeadTrial(tune.Trainable):
    """Tune Trainable: one step per epoch; `reset_config` reuses the process.

    A trial ends as a function trainable does, by a result that says nothing else.
    """

    def setup(self, config: dict[str, Any], job: Job) -> None:
        torch.set_num_threads(job.plan.cpus_per_worker)
        self._device = torch.device("cuda" if job.plan.use_gpu else "cpu")
        self._job = job
        self._prepared_by: dict[tuple[Any, ...], Prepared] = {}
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Tune's hook to reuse the process for another trial."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self._config = parse_config(self._job.config).with_values(searched(config))
        self._prepared = self._prepare(self._config)
        self._runs = [
            FoldRun(self._prepared.folds[name], self._prepared, self._config, self._device)
            for name in config.get(FOLDS, self._job.folds)
        ]
        self._metrics: dict[str, Any] = {}
        end = earlier_end(self._job.storage, self.trial_id)
        # Tune may have been killed before it saved the end of the trial: it is reported again.
        self._epochs = iter([end]) if end else run_epochs(self._runs, last=self._job.epochs)
        self._saved = time.monotonic()

    def _prepare(self, config: Config) -> Prepared:
        """Images, folds and features, kept for later trials that use the same features."""
        key = feature_key(config)
        if key not in self._prepared_by:
            self._prepared_by[key] = open_prepared(self._job, config, device=self._device)
        return self._prepared_by[key]

    def step(self) -> dict[str, Any]:
        """Train one epoch. Searched networks are not used later: only long trials are saved."""
        metrics = next(self._epochs, None)
        if metrics is None:
            return {RESULT_DUPLICATE: True}
        self._metrics = metrics
        late = time.monotonic() - self._saved > CHECKPOINT_EVERY_S
        due = late or (self._job.results and metrics["epoch"] == self._job.epochs)
        return metrics | {SHOULD_CHECKPOINT: due and "failure" not in metrics}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save network, optimiser and, after the last epoch, the results."""
        folder = Path(checkpoint_dir)
        save(folder, self._runs, self._metrics)
        if self._job.results and self._metrics["epoch"] == self._job.epochs:
            write_results(folder, self._runs, self._config, self._prepared)
        self._saved = time.monotonic()

    def load_checkpoint(self, checkpoint: str) -> None:
        """Continue after the checkpointed epoch."""
        self._metrics = restore(Path(checkpoint), self._runs)
        self._epochs = run_epochs(self._runs, last=self._job.epochs, done=self._metrics)
