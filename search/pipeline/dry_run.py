"""What a search would do, without training: configuration, data, folds, resources, time."""

import tempfile
from pathlib import Path

import yaml

from hierclf.config import Config
from hierclf.counts import counted
from hierclf.data.cache import default_cache_dir
from hierclf.training.hidden_classes import FIRST_FOLDS
from search.pipeline.estimate import estimate_stages, measure_speed
from search.pipeline.options import RunOptions
from search.pipeline.preparation import (
    check_early,
    prepare_images,
    start_cluster,
    with_fittable_scores,
)
from search.pipeline.run_folder import RunFolder
from search.runtime.cluster import ray_left_at_the_end
from search.runtime.progress import console, duration, headline
from search.runtime.signals import ended_by_signals


def dry_run(config: Config, options: RunOptions) -> None:
    """Print what `run_job` would do. Decoded images and features are kept; nothing else is.

    Raises:
        ValueError: what the user can correct, as a search would say before its first trial.
    """
    headline("dry run", f"{config.model.backbone} on {config.data.path}")
    with (
        ended_by_signals(),
        ray_left_at_the_end(),
        tempfile.TemporaryDirectory(prefix="hierclf-") as place,
    ):
        folder = RunFolder(Path(place))
        source = check_early(config, folder)
        plan = start_cluster(config, options)
        cache_dir = folder.path / "images" if config.data.stream else default_cache_dir()
        prepared, _ = prepare_images(source, config, folder, plan, cache_dir)
        config = with_fittable_scores(config, prepared)
        chosen_on = [name for name in FIRST_FOLDS if name in prepared.folds]
        speed = measure_speed(config, prepared, next(iter(prepared.folds)), plan)
        stages = estimate_stages(config, prepared.folds, chosen_on, speed, plan)
    budget = options.time_budget
    searched = stages.search if budget is None else min(stages.search, budget)
    headline(
        "time",
        f"{duration(searched)} at most for {counted(config.search.trials, 'trial')}, "
        f"{duration(stages.confirm)} for the folds, {duration(stages.refit)} for the final network",
    )
    console.print(
        "  as measured here on a few batches; besides, each training run takes seconds to start"
    )
    headline("configuration")
    console.print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).rstrip())
