"""Early stopping by the names that the configuration gives it."""

from pathlib import Path

from ray.tune.schedulers import TrialScheduler

from hierclf.config import Config
from search.tuning.halving import PersistentASHA
from search.tuning.median import MedianStop


def make_scheduler(config: Config, storage: str) -> TrialScheduler | None:
    """What `search.scheduler` names; None ends no trial early.

    Args:
        config: of the search.
        storage: folder of the stage, where a resumed search finds what trials have reported.
    """
    search, epochs = config.search, config.train.epochs
    match search.scheduler:
        case "asha":
            return PersistentASHA(
                Path(storage) / "rungs.json",
                epochs=epochs,
                grace_epochs=search.grace_epochs,
                reduction_factor=search.reduction_factor,
            )
        case "median":
            return MedianStop(storage, epochs=epochs, grace_epochs=search.grace_epochs)
        case "none":
            return None
