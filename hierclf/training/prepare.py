"""From a configuration to what training needs: images, folds and, when frozen, features."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from hierclf.config import Config
from hierclf.counts import counted
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.listing import short_list
from hierclf.data.source import Source
from hierclf.data.sources import open_source
from hierclf.data.stream import MapGroups, map_here
from hierclf.data.stream_open import open_stream
from hierclf.hierarchy import Hierarchy
from hierclf.nets.backbones import Backbone, build_backbone
from hierclf.progress import Progress
from hierclf.scores import PRETRAINED_SCORES, PretrainedHead
from hierclf.training.features import open_features
from hierclf.training.folds import Fold, folds_hiding, reference_fold, refit_fold, smaller_fold
from hierclf.training.hidden_classes import Hidden, plan_hidden
from hierclf.training.image_groups import with_found_groups, with_named_groups
from hierclf.training.novel_images import NovelImages, check_generated, prepare_novel
from hierclf.training.unlabelled import (
    UnlabelledImages,
    check_unlabelled,
    prepare_unlabelled,
)

StageProgress = Callable[[str, int, int], None]


class Prepared(NamedTuple):
    """What training reads.

    Attributes:
        folds: by name, in the planned order; the last three, `reference`,
            `smaller` and `all`, hide nothing.
        features: float32 [V + 1, N, D] memory map, or None unless the backbone is frozen.
        pretrained_head: the classifier head in the weights, if a score uses it.
        novel: the user's own novel images, if there are any.
        unlabelled: images without labels, if there are any.
    """

    cache: ImageCache
    folds: dict[str, Fold]
    features: np.ndarray | None
    pretrained_head: PretrainedHead | None
    novel: NovelImages | None = None
    unlabelled: UnlabelledImages | None = None


def judges_novel(prepared: Prepared) -> bool:
    """Whether some of the user's own novel images choose and judge thresholds."""
    return prepared.novel is not None and len(prepared.novel.judging) > 0


def prepare(
    config: Config,
    *,
    directory: Path,
    device: torch.device,
    over: MapGroups = map_here,
    progress: StageProgress | None = None,
    backbone: Backbone | None = None,
    workers: int | None = None,
) -> Prepared:
    """Read, decode once, plan the folds, and compute frozen features once.

    Every process of a run calls this; all but the first find the work done and map it into memory.

    Args:
        directory: where decoded images and features are kept, or the tables of a stream.
        over: decodes the row groups of a stream.
        progress: called as (what, done, total).
        backbone: what `config.model` names, built; None builds it.
        workers: of `open_features`, which computes the features.

    Raises:
        ValueError: whatever is wrong with the data or the backbone, in one line.
    """

    check_generated(config)
    check_unlabelled(config)
    source = configured_source(config)
    for problem in short_list(source.problems, most=1):
        line = f"{problem.where}: {problem.what}"
        warnings.warn(f"{config.data.path}: {line}", stacklevel=2)
    cache = open_images(source, config, directory=directory, over=over, progress=progress)
    _warn_of_images(cache)
    cache = with_named_groups(cache, config.data.group_by, path=config.data.path)
    plan(cache, config)  # fails early where nothing can be hidden
    if backbone is None:  # fails early on an invalid one
        backbone = build_backbone(config.model.backbone, config.model.weights)
    _check_image_size(config, backbone)
    head = _pretrained_head(config, backbone)
    report = partial(stage_report, progress=progress)
    where: dict[str, Any] = {"directory": directory, "report": report}
    novel = prepare_novel(config, cache, backbone, device=device, workers=workers, **where)
    labelled = [cache, *([] if novel is None else [novel.cache])]
    unlabelled = prepare_unlabelled(config, labelled, **where)
    features = None
    if config.model.freeze == "backbone":
        features = open_features(
            cache,
            config,
            backbone,
            directory=directory,
            device=device,
            workers=workers,
            progress=stage_report("computing features", progress),
        )
    if cache.groups is None and cache.is_val is None:
        pixels = None if features is None else features[0]
        cache = with_found_groups(cache, pixels, directory=directory)
    folds = plan(cache, config)
    return Prepared(cache, {fold.name: fold for fold in folds}, features, head, novel, unlabelled)


def configured_source(config: Config) -> Source:
    """The source of a configuration, its table read and checked.

    Raises:
        ValueError: what is wrong with the data, in one line.
    """
    data = config.data
    return open_source(
        data.path,
        normalise_names=data.normalise_names,
        zip_encoding=data.zip_encoding,
        keep_truncated=data.truncated == "keep",
        columns=data.columns,
        hierarchy=data.hierarchy,
    )


def open_images(
    source: Source,
    config: Config,
    *,
    directory: Path,
    over: MapGroups = map_here,
    progress: StageProgress | None = None,
) -> ImageCache:
    """Decode the images of a source once, or look at those of a stream; arguments as `prepare`."""
    options: dict[str, Any] = {
        "size": config.data.size,
        "directory": directory,
        "max_bad_share": config.data.max_bad_share,
    }
    if config.data.stream:
        report = stage_report("looking at images", progress)
        return open_stream(source, **options, over=over, progress=report)
    return open_cache(source, **options, progress=stage_report("decoding images", progress))


def stage_report(what: str, progress: StageProgress | None) -> Progress | None:
    """The progress of one step.

    Args:
        what: the step, as users see it.
        progress: of all steps; None where nobody looks.
    """
    return None if progress is None else lambda done, total: progress(what, done, total)


def _warn_of_images(cache: ImageCache) -> None:
    """Warn of what in the images deserves a look but stops nothing."""
    for table, name, one, many in (
        (
            cache.quarantine,
            "quarantine.csv",
            "image cannot be read and is left out",
            "images cannot be read and are left out",
        ),
        (
            cache.repeats,
            "repeats.csv",
            "image shows the same pixels as another",
            "images show the same pixels as another",
        ),
    ):
        if len(table):
            place = "" if cache.path is None else f"; see {cache.path / name}"
            first = ": ".join(table.iloc[0])
            what = counted(len(table), one, many)
            warnings.warn(f"{what} (first: {first}){place}", stacklevel=3)


def plan(cache: ImageCache, config: Config, hidden: Hidden | None = None) -> list[Fold]:
    """The folds of a configuration: those that hide classes, and the three that hide none.

    Args:
        hidden: what the folds hide; None lets the configuration say.
    """
    labels = cache.super_labels, cache.sub_labels
    division: dict[str, Any] = {
        "val_fraction": config.folds.val_fraction,
        "seed": config.seed,
        "groups": cache.groups,
        "is_val": cache.is_val,
    }
    hidden = hidden or configured_hidden(cache.hierarchy, config)
    folds = folds_hiding(hidden.folds, *labels, **division)
    reference = reference_fold(*labels, **division)
    division.pop("is_val")
    smaller = smaller_fold(reference, cache.sub_labels, **division)
    return [*folds, reference, smaller, refit_fold(*labels)]


def configured_hidden(hierarchy: Hierarchy, config: Config) -> Hidden:
    """Which sub-classes the folds of a configuration hide.

    Raises:
        ValueError: nothing can be hidden.
    """
    return plan_hidden(
        hierarchy,
        sub_folds=config.folds.sub,
        super_folds=config.folds.super,
        mixed_folds=config.folds.mixed,
        mixed_share=config.folds.mixed_share,
        seed=config.seed,
    )


def _check_image_size(config: Config, backbone: Backbone) -> None:
    if backbone.image_size not in (None, config.model.image_size):
        raise ValueError(
            f"model.image_size must be {backbone.image_size} for {config.model.backbone}, but got "
            f"{config.model.image_size}"
        )


def _pretrained_head(config: Config, backbone: Backbone) -> PretrainedHead | None:
    """The classifier head in the weights, if a score uses it.

    Raises:
        ValueError: a score needs it and there is none, or the backbone is trained.
    """
    names = [name for name in config.thresholds.scores if name in PRETRAINED_SCORES]
    if not names:
        return None
    if config.model.freeze != "backbone":
        # The head fits the features of the published weights, not those of a network trained on.
        raise ValueError(
            f"the score {names[0]} needs model.freeze=backbone, but got {config.model.freeze}"
        )
    if backbone.pretrained_head is None:
        raise ValueError(
            f"the score {names[0]} needs a single backbone whose weights hold a classifier head, "
            f"but got {config.model.backbone} ({config.model.weights}): leave it out of "
            "thresholds.scores"
        )
    return backbone.pretrained_head
