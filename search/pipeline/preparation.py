"""What happens before the first trial: checks, Ray and its resources, images and folds."""

from functools import partial
from pathlib import Path

import torch

from hierclf.config import Config
from hierclf.config.space import FEATURE_KEYS
from hierclf.counts import counted
from hierclf.data.source import Source
from hierclf.data.stream_open import parquet_of
from hierclf.hierarchy import NOVEL, UNLABELLED
from hierclf.nets.backbones import build_backbone
from hierclf.scores.needs import unfittable
from hierclf.training.folds import CALIBRATION, REFIT
from hierclf.training.novel_images import NovelImages, check_generated
from hierclf.training.optimisation import pick_precision
from hierclf.training.prepare import Prepared, configured_source, open_images, prepare
from hierclf.training.reopen import PreparedFiles, files_of
from hierclf.training.unlabelled import check_unlabelled
from search.pipeline.options import RunOptions
from search.pipeline.run_folder import RunFolder
from search.pipeline.same_data import (
    check_images,
    check_novel,
    check_pixels,
    check_without_labels,
    keep_images,
)
from search.runtime.cluster import plan_resources, start_ray
from search.runtime.nodes import needed, wait_for_nodes
from search.runtime.progress import Steps, console, headline
from search.runtime.signals import end_on_signals
from search.trials.plan import Plan
from search.trials.stream import map_on_cluster
from search.tuning.samplers import check_sampler
from search.tuning.study import absolute_address


def check_early(config: Config, folder: RunFolder) -> Source:
    """Refuse at once what preparation or the first trial would refuse after minutes.

    Raises:
        ValueError: the data cannot be read or are not those of the run's first start, or there is
            no such backbone or weights, or a package is missing.
    """
    if config.search.trials:
        check_sampler(config.search.sampler)
        if config.search.study is not None:
            absolute_address(config.search.study)
    check_generated(config)
    check_unlabelled(config)
    source = configured_source(config)
    if config.data.stream:
        parquet_of(source)
    for variant in config.variants(("model.backbone", "model.weights")):
        build_backbone(variant.model.backbone, variant.model.weights)
    check_images(source, folder.data, title=folder.path.name)
    return source


def start_cluster(config: Config, options: RunOptions) -> Plan:
    """Start or join Ray, and divide its resources among the trials.

    Raises:
        ValueError: Ray does not start, or a trial could never run.
    """
    start_ray(options.address)
    end_on_signals()  # again: Ray has installed a handler of its own
    needs = needed(options.gpus, options.gpus_per_trial, options.workers_per_trial)
    capacity = wait_for_nodes(needs, options.wait_for_nodes)
    plan = plan_resources(
        cpus=capacity.get("CPU", 0),
        available_gpus=capacity.get("GPU", 0),
        gpus=options.gpus,
        gpus_per_trial=options.gpus_per_trial,
        workers_per_trial=options.workers_per_trial,
        n_trials=config.search.trials or config.folds.sub,
    )
    smallest = int(min(config.tried("train.batch_size")))
    if smallest < 2 * plan.workers:
        raise ValueError(
            f"train.batch_size must give each of the {plan.workers} workers of a trial 2 images or "
            f"more, but got {smallest}"
        )
    for precision in config.tried("train.precision"):
        if precision != "auto":
            pick_precision(precision, torch.device("cuda" if plan.use_gpu else "cpu"))
    waiting = config.search.trials - plan.trials_at_a_time
    console.print(
        f"  resources: {plan.describe()}"
        + (f"; {counted(waiting, 'more waits', 'more wait')}" if waiting > 0 else "")
    )
    return plan


def prepare_images(
    source: Source, config: Config, folder: RunFolder, plan: Plan, cache_dir: Path
) -> tuple[Prepared, PreparedFiles]:
    """Decode the images, plan the folds, compute frozen features; print what was found.

    Where the search varies what frozen features depend on, all their variants are computed.

    Returns:
        The first variant, and the files of all.

    Raises:
        ValueError: the images are not those of the run's first start, or cannot be prepared.
    """
    steps = Steps()
    over = partial(map_on_cluster, at_a_time=plan.cpus)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    variants = config.variants(FEATURE_KEYS) if config.model.freeze == "backbone" else [config]
    if len(variants) > 1:
        console.print(f"  features: {len(variants)} sets, one per variant of the backbone's input")
    try:
        images = open_images(source, config, directory=cache_dir, over=over, progress=steps)
        check_pixels(images, folder.data, title=folder.path.name)
        if not folder.data.is_file():
            keep_images(source, images, folder.data)
        all_prepared = [
            prepare(
                variant,
                directory=cache_dir,
                device=device,
                over=over,
                progress=steps,
                workers=_workers(plan),
            )
            for variant in variants
        ]
    finally:
        steps.close()
    prepared = all_prepared[0]
    if prepared.novel is not None:
        check_novel(prepared.novel, folder.novel, title=folder.path.name)
    if prepared.unlabelled is not None:
        check_without_labels(
            prepared.unlabelled.cache, folder.without_labels, title=folder.path.name
        )
    _check_workers(prepared, plan)
    cache, hierarchy = prepared.cache, prepared.cache.hierarchy
    folder.list_images(cache)
    height, width = cache.images.shape[1:3]
    headline(
        "prepare",
        f"{len(cache.images):,} images of {width} x {height}, {hierarchy.n_super} super-classes, "
        f"{hierarchy.n_sub} sub-classes"
        + (f", {len(cache.quarantine)} unreadable left out" if len(cache.quarantine) else ""),
    )
    names = [name for name in prepared.folds if name not in (*CALIBRATION, REFIT)]
    n_super, n_mixed = (sum(x.startswith(kind) for x in names) for kind in ("super", "mixed"))
    console.print(
        f"  folds: {counted(len(names) - n_super - n_mixed, 'hides', 'hide')} sub-classes, "
        + (
            f"{counted(n_super, 'hides', 'hide')} a whole super-class"
            if n_super
            else "none hides a super-class (that needs three of them): super_tau stays untested"
        )
        + (f", {counted(n_mixed, 'hides', 'hide')} both" if n_mixed else "")
    )
    if prepared.novel is not None:
        console.print(f"  novel images: {describe_novel(prepared.novel)}")
    if prepared.unlabelled is not None:
        console.print(f"  images without labels: {len(prepared.unlabelled.rows):,}")
    return prepared, files_of(zip(variants, all_prepared, strict=True))


def _workers(plan: Plan) -> int:
    """Processes that compute features: one per GPU of this machine, of those that are in use."""
    return max(1, min(plan.gpus, torch.cuda.device_count()))


def describe_novel(novel: NovelImages) -> str:
    """How many images of how many classes, by what is known of their super-class; who trains."""
    parts = []
    judging = novel.judging
    if len(judging):
        supers = novel.cache.super_labels[judging]
        kinds = {
            "of known super-classes": supers >= 0,
            "of new ones": supers == NOVEL,
            "of unknown ones, which count at the sub level only": supers == UNLABELLED,
        }
        each = [f"{int(rows.sum()):,} {kind}" for kind, rows in kinds.items() if rows.any()]
        classes = counted(novel.n_judging, "class", "classes")
        parts.append(f"{len(judging):,} in {classes}: {', '.join(each)}")
    if rest := len(novel.classes) - len(judging):
        parts.append(f"{rest:,} train, and neither choose nor judge")
    return "; ".join(parts)


def _check_workers(prepared: Prepared, plan: Plan) -> None:
    """Raise ValueError where a fold is too small for the workers of a trial."""
    smallest = min(prepared.folds.values(), key=lambda fold: len(fold.train))
    if len(smallest.train) < 2 * plan.workers:
        raise ValueError(
            f"each of the {plan.workers} workers of a trial needs 2 training images, but fold "
            f"{smallest.name} has {len(smallest.train)} in all; give fewer workers"
        )


def with_fittable_scores(config: Config, prepared: Prepared) -> Config:
    """The configuration without the scores that some fold could not fit, which are printed."""
    names, left_out = config.thresholds.scores, dict[str, str]()
    subs, pictures = prepared.cache.sub_labels, prepared.cache.pictures
    for fold in prepared.folds.values():
        for name, reason in unfittable(names, subs[fold.train], pictures[fold.train]).items():
            left_out.setdefault(name, f"needs {reason}, which fold {fold.name} lacks")
    if not left_out:
        return config
    for reason in dict.fromkeys(left_out.values()):
        of_it = ", ".join(name for name in left_out if left_out[name] == reason)
        console.print(f"  scores left out: {of_it} ({reason})")
    kept = tuple(name for name in names if name not in left_out)
    thresholds = config.thresholds.model_copy(update={"scores": kept})
    return config.model_copy(update={"thresholds": thresholds})
