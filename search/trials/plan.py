"""What runs at the same time, and what each trial does."""

from typing import TYPE_CHECKING, Any, NamedTuple

from hierclf.counts import counted

if TYPE_CHECKING:
    # It needs scikit-learn and more, which the processes that wait for workers never use.
    from hierclf.training.reopen import PreparedFiles


class Plan(NamedTuple):
    """What runs at the same time.

    Attributes:
        trials_at_a_time: concurrent trials.
        workers: training processes per trial; more than one train data-parallel.
        use_gpu: whether a worker has a GPU or a fraction of one.
        cpus_per_worker: CPU cores per worker.
        gpus: GPUs in use over all trials.
        gpu_fraction: of a GPU, per worker; below 1 several small trials share a GPU.
    """

    trials_at_a_time: int
    workers: int
    use_gpu: bool
    cpus_per_worker: int
    gpus: int
    gpu_fraction: float = 1.0

    @property
    def cpus(self) -> int:
        """CPU cores in use over all trials."""
        return self.trials_at_a_time * self.workers * self.cpus_per_worker

    def describe(self) -> str:
        """The plan in one line."""
        each = counted(self.cpus_per_worker, "CPU core")
        if self.use_gpu:
            each += f" and {self.gpu_fraction:g} GPU"
        workers, trials = counted(self.workers, "worker"), counted(self.trials_at_a_time, "trial")
        return f"{trials} at a time, {workers} per trial, {each} per worker"


FOLDS = "folds"
"""Key of a trial's Tune configuration for folds in place of the job's; all others are values."""


def searched(config: dict[str, Any]) -> dict[str, Any]:
    """The searched values of a trial's Tune configuration, by dotted key."""
    return {key: value for key, value in config.items() if key != FOLDS}


class Job(NamedTuple):
    """What each trial of a stage does, apart from the values that the search varies.

    Attributes:
        config: the resolved configuration.
        folds: names of the folds to train on.
        epochs: how many epochs of the configuration's schedule are run.
        results: write the score table (or, for the fold that hides nothing, the model) at the end.
        prepared: images, folds and features, prepared by the main process. A Ray Train run carries
            Ray's reference to them, which only its workers follow.
        cache_dir: folder of decoded images and features, on each machine.
        storage: folder of the stage, which all machines see.
    """

    config: dict[str, Any]
    folds: tuple[str, ...]
    epochs: int
    results: bool
    prepared: "PreparedFiles"
    cache_dir: str
    plan: Plan
    storage: str

    @property
    def only_heads(self) -> bool:
        """Whether its trials are `HeadTrial`s: a frozen backbone, and one process per trial."""
        frozen = self.config["model"]["freeze"] == "backbone"
        return frozen and self.plan.workers == 1
