"""A prepared run, as its stages see it."""

from dataclasses import dataclass
from pathlib import Path

from hierclf.config import Config
from hierclf.training.hidden_classes import FIRST_FOLDS
from hierclf.training.prepare import Prepared
from hierclf.training.reopen import PreparedFiles
from search.pipeline.run_folder import RunFolder
from search.tracking.outbox import Outbox, outbox_at
from search.tracking.trial_logger import TrialLogger
from search.tracking.trial_runs import Place, TrialRuns
from search.trials.plan import Job, Plan


@dataclass(frozen=True, kw_only=True)
class Run:
    """A prepared run; what its stages read.

    Attributes:
        files: where the trials' processes find what is prepared.
        plan: what runs at the same time.
        cache_dir: folder of decoded images and features.
        time_budget_s: for the search's trials; None sets no limit.
        parent_run_id: the search's own run in MLflow.
        registered_model: name in MLflow's registry.
        take_over: take the champion alias from a model on other data.
    """

    name: str
    folder: RunFolder
    config: Config
    prepared: Prepared
    files: PreparedFiles
    plan: Plan
    cache_dir: Path
    time_budget_s: float | None
    mlflow_uri: str
    experiment_id: str
    parent_run_id: str
    registered_model: str
    take_over: bool

    def job(self, stage: str, *, folds: list[str], epochs: int, results: bool) -> Job:
        """The job of a stage's trials; see `Job` for the arguments."""
        storage = self.folder.ray / stage
        storage.mkdir(parents=True, exist_ok=True)
        return Job(
            config=self.config.model_dump(),
            folds=tuple(folds),
            epochs=epochs,
            results=results,
            prepared=self.files,
            cache_dir=str(self.cache_dir),
            plan=self.plan,
            storage=str(storage),
        )

    def logger(self, stage: str) -> TrialLogger:
        """The MLflow logger of a stage's trials."""
        return TrialLogger(self.place, self.folder.outbox, stage=stage)

    @property
    def place(self) -> Place:
        """Where the MLflow runs of its trials are."""
        return Place(self.mlflow_uri, self.experiment_id, self.parent_run_id)

    def outbox(self) -> Outbox:
        """Entries on their way to MLflow."""
        return outbox_at(self.folder.outbox, TrialRuns(self.place).deliver)


def search_folds(run: Run) -> list[str]:
    """The folds that hyper-parameters are chosen on: the first of each kind."""
    return [name for name in FIRST_FOLDS if name in run.prepared.folds]
