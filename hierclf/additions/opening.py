"""What a model was trained on, and the images of new classes, opened and put together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hierclf.additions.images import Part, check_unlike, joined, open_part
from hierclf.additions.labelled import NewClass, NewImages, from_table, one_class, only
from hierclf.additions.novel import still_novel
from hierclf.bundle.directory import Bundle
from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.data.named_sets import is_elsewhere
from hierclf.data.sources import is_demo
from hierclf.hierarchy import Hierarchy
from hierclf.nets.backbones import Backbone, build_backbone
from hierclf.scores.pretrained_head import head_in
from hierclf.training.added_folds import with_added
from hierclf.training.hidden_classes import FIRST_FOLDS
from hierclf.training.prepare import (
    Prepared,
    StageProgress,
    configured_hidden,
    plan,
)
from hierclf.training.record import (
    Addition,
    TrainingRecord,
    load_record,
)


def growable(model: Path, data: str | None) -> tuple[TrainingRecord, Config]:
    """The record of a model that classes can be added to, and the configuration to use."""
    record = load_record(model)
    config = record.config
    if config.model.freeze != "backbone":
        raise ValueError(
            "classes can be added where the backbone is frozen (model.freeze=backbone), but that "
            f"of {model} was trained: search again with the new classes in the data"
        )
    if data is not None:
        path = data if is_demo(data) else absolute(data)
        where = config.data.model_copy(update={"path": path})
        config = config.model_copy(update={"data": where})
    path = config.data.path
    if not (is_demo(path) or is_elsewhere(path)) and not Path(path).expanduser().exists():
        raise ValueError(
            f"heads are fitted to all classes together, so the training data must be there, but "
            f"{path} is not; --data names where they are"
        )
    return record, config


def own_backbone(bundle: Bundle, config: Config) -> Backbone:
    """The model's own backbone; the head of its published weights where a score needs one."""
    backbone = build_backbone(bundle.backbone, "none")
    backbone.module.load_state_dict(bundle.net.backbone.state_dict())
    names = [name for name in bundle.scores if name.startswith("pretrained_")]
    if not names:
        return backbone
    if "pretrained_mass" in names:
        mass = "pretrained_mass."
        own = {k.removeprefix(mass): v for k, v in bundle.states.items() if k.startswith(mass)}
        return backbone._replace(pretrained_head=head_in(own))
    # The other score keeps an adapted head only.
    published = build_backbone(bundle.backbone, config.model.weights)
    return backbone._replace(pretrained_head=published.pretrained_head)


def check_base(cache: ImageCache, known: Hierarchy, record: TrainingRecord) -> None:
    """Refuse data whose classes are not those that the search read."""
    found, n_sub = cache.hierarchy, known.n_sub
    n_sub -= sum(len(addition.classes) for addition in record.additions)
    expected = tuple(zip(known.sub_names, known.sub_ids, strict=True))[:n_sub]
    if tuple(zip(found.sub_names, found.sub_ids, strict=True)) != expected or (
        found.super_names != known.super_names[: found.n_super]
    ):
        raise ValueError(
            f"{record.config.data.path} must hold the {n_sub} sub-classes that the model was "
            f"trained on, but holds {found.n_sub}, or others"
        )
    if cache.content != record.data_fingerprint:
        raise ValueError(
            f"{record.config.data.path} must hold the images that the model was trained on, but "
            "some were added, removed, relabelled or changed: search again"
        )


def again(addition: Addition) -> NewImages:
    """The images of an earlier addition."""
    classes = [NewClass(added.superclass, added.subclass) for added in addition.classes]
    try:
        if addition.table is None:
            assert addition.images is not None
            return one_class(addition.images, classes[0])
        found = from_table(addition.table, images=addition.images)
        if missing := [new.subclass for new in classes if new not in found.classes]:
            raise ValueError(f"{addition.table} has no images of {missing[0]!r}")
    except ValueError as error:
        names = ", ".join(repr(new.subclass) for new in classes)
        raise ValueError(f"images of {names}, added earlier, must be there, but {error}") from None
    return only(found, classes)


def open_parts(
    every: Sequence[NewImages],
    known: ImageCache,
    config: Config,
    backbone: Backbone,
    *,
    directory: Path,
    device: torch.device,
    progress: StageProgress | None,
) -> list[Part]:
    """Open one addition after another; no image may be in two of them, or in the data.

    Args:
        every: images of new classes, in the order of their indices.
        known: the images of the search.
        config, backbone: of the model.
        directory, device, progress: as for `open_part`.

    Raises:
        ValueError: as `open_part` and `check_unlike`.
    """
    caches, opened = [known], list[Part]()
    for images in every:
        part = open_part(
            images,
            caches[-1],
            config,
            backbone,
            directory=directory,
            device=device,
            progress=progress,
        )
        check_unlike(caches, part.cache)
        caches.append(part.cache)
        opened.append(part)
    return opened


def with_parts(
    base: Prepared, opened: Sequence[Part], config: Config, directory: Path
) -> tuple[Prepared, np.ndarray, list[str]]:
    """All images with their folds, the part of each sub-class, and the folds the search looked at.

    Args:
        base: of the search.
        opened: of the classes that were added, one addition after another.
        config: of the model.
        directory: for the features of all images.
    """
    together = joined(base, opened, directory=directory)
    hierarchy = together.cache.hierarchy
    planned = configured_hidden(base.cache.hierarchy, config)
    chosen_on = [name for name in FIRST_FOLDS if name in base.folds]
    hidden = with_added(planned, np.asarray(hierarchy.sub_to_super), super_folds=config.folds.super)
    novel = base.novel
    if novel is not None:
        novel = still_novel(novel, hierarchy, [part.cache for part in opened])
    folds = {fold.name: fold for fold in plan(together.cache, config, hidden)}
    return together._replace(folds=folds, novel=novel), hidden.parts, chosen_on


def absolute(place: str | None) -> str | None:
    """An absolute path, also of a pattern."""
    return None if place is None else str(Path(place).expanduser().absolute())
