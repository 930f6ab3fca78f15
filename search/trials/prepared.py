"""The images, folds and features of a job, in a process that trains."""

from pathlib import Path

import torch

from hierclf.config import Config
from hierclf.data.stream import MapGroups, map_here
from hierclf.training.prepare import Prepared, prepare
from hierclf.training.reopen import reopen
from search.trials.plan import Job


def open_prepared(
    job: Job, config: Config, *, device: torch.device, over: MapGroups = map_here
) -> Prepared:
    """Map what the main process prepared into memory.

    A machine of a cluster that does not share the main process's cache folder prepares its own
    first, from the same source.

    Args:
        config: the job's with the values of a trial.
        device: computes features where they are missing.
        over: decodes the row groups of a stream.

    Raises:
        ValueError: the source has other images here; or as `prepare`.
    """
    prepared = reopen(job.prepared, config, over=over)
    if prepared is not None:
        return prepared
    prepared = prepare(config, directory=Path(job.cache_dir), device=device, over=over)
    own = [each and each.fingerprint for each in (job.prepared.novel, job.prepared.unlabelled)]
    found = [each and each.cache.fingerprint for each in (prepared.novel, prepared.unlabelled)]
    if (prepared.cache.fingerprint, found) != (job.prepared.fingerprint, own):
        raise ValueError(
            f"{config.data.path} must hold the images that the search began with, on every "
            "machine, but here it holds others"
        )
    return prepared
