"""Add classes to a model directory: heads, scores and thresholds anew, on features that stay.

The values that the search chose stay, and so do its folds: the classes of the search are hidden
where they were, and every added class is hidden, too (see `hierclf.training.added_folds`).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from hierclf.additions.fitted import Fitted, expected_of, fit_heads
from hierclf.additions.hierarchy import check_new
from hierclf.additions.images import Part, check_unlike, joined, open_part
from hierclf.additions.labelled import NewClass, NewImages, from_table, one_class, only
from hierclf.additions.novel import still_novel
from hierclf.bundle.directory import Bundle, load_bundle, save_bundle
from hierclf.bundle.rule_file import save_rule
from hierclf.bundle.score_table_file import load_score_table, save_score_table
from hierclf.config import Config
from hierclf.counts import counted
from hierclf.data.cache import ImageCache
from hierclf.data.sources import is_demo
from hierclf.hierarchy import Hierarchy
from hierclf.io.atomic import draft_of
from hierclf.nets.backbones import Backbone, build_backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.rules.promise import Promised
from hierclf.scores import PretrainedHead
from hierclf.training.added_folds import with_added
from hierclf.training.hidden_classes import FIRST_FOLDS
from hierclf.training.prepare import (
    Prepared,
    StageProgress,
    configured_hidden,
    plan,
    prepare,
)
from hierclf.training.record import (
    AddedClass,
    Addition,
    TrainingRecord,
    load_record,
    save_record,
)
from hierclf.training.trained_bundle import save_run_images


class Grown(NamedTuple):
    """A model with new classes, as it was written.

    Attributes:
        directory: of the new model.
        hierarchy: all its classes.
        added: the new classes, with the number of images that were used.
        unreadable: (name, reason) of each image that was left out.
        before: what to expect of the former model, for the same goal.
        fitted: the folds' scores, the new rule, and what to expect of it.
        notes: what was left out, a sentence each.
    """

    directory: Path
    hierarchy: Hierarchy
    added: Sequence[AddedClass]
    unreadable: Sequence[tuple[str, str]]
    before: Promised
    fitted: Fitted
    notes: Sequence[str]


def add_classes(
    model: Path,
    out: Path,
    new: NewImages,
    *,
    cache_dir: Path,
    device: torch.device,
    new_super: bool = False,
    data: str | None = None,
    progress: StageProgress | None = None,
) -> Grown:
    """Write a model that knows new classes, too.

    Args:
        model: a model directory with a frozen backbone and its record of training.
        out: the new model directory; must not exist.
        new: images of the new classes.
        cache_dir: where decoded images and features are.
        device: where features are computed that are not there.
        new_super: whether a super-class may be new.
        data: where the training data are now; None where the record says.
        progress: called as (what, done, total).

    Raises:
        ValueError: what the user can correct, in one line; nothing is written.
    """
    if out.exists():
        raise ValueError(f"--out must not exist, but {out} does")
    record, config = _growable(model, data)
    bundle = load_bundle(model)
    new = _unknown(new, bundle.hierarchy)
    check_new(bundle.hierarchy, new.classes, new_super=new_super)
    table, parts, may = load_score_table(model)
    backbone = _backbone(bundle, config)
    base = prepare(config, directory=cache_dir, device=device, progress=progress, backbone=backbone)
    _check_base(base.cache, bundle.hierarchy, record)
    every = [*map(_again, record.additions), new]
    opened: list[Part] = []
    for images in every:
        known = opened[-1].cache if opened else base.cache
        part = open_part(
            images,
            known,
            config,
            backbone,
            directory=cache_dir,
            device=device,
            progress=progress,
        )
        check_unlike([base.cache, *(earlier.cache for earlier in opened)], part.cache)
        opened.append(part)
    prepared, parts_now, chosen_on = with_parts(base, opened, config, cache_dir)
    fitted = fit_heads(
        prepared,
        config,
        parts_now,
        chosen_on,
        progress=None
        if progress is None
        else lambda done, total: progress("training folds", done, total),
    )
    _, before = expected_of(table, parts, may, bundle.scores, fitted.goal)
    added = _counted(new, opened[-1].cache)
    addition = Addition(_absolute(new.table), _absolute(new.images), tuple(added))
    grown_record = replace(
        record,
        config=config,
        fingerprint=prepared.cache.content,
        n_images=len(prepared.cache.names),
        additions=(*record.additions, addition),
    )
    write_model(out, _with_heads(bundle, fitted, backbone), fitted, grown_record)
    quarantine = opened[-1].cache.quarantine
    return Grown(
        out,
        prepared.cache.hierarchy,
        added,
        list(zip(quarantine["image"], quarantine["reason"], strict=True)),
        before,
        fitted,
        new.notes,
    )


def write_model(out: Path, bundle: Bundle, fitted: Fitted, record: TrainingRecord) -> None:
    """Write a whole model directory at once.

    Args:
        out: must not exist.
        bundle: with the heads and scores of `fitted`.
        fitted: what the rest is made of.
        record: how it was trained.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(out) as draft:
        save_bundle(bundle, draft)
        save_rule(draft, fitted.rule, fitted.calibration)
        save_score_table(draft, fitted.table, fitted.parts, report=fitted.report)
        save_run_images(fitted.run, draft)
        save_record(draft, record)


def _growable(model: Path, data: str | None) -> tuple[TrainingRecord, Config]:
    """The record of a model that classes can be added to, and the configuration to use."""
    record = load_record(model)
    config = record.config
    if config.model.freeze != "backbone":
        raise ValueError(
            "classes can be added where the backbone is frozen (model.freeze=backbone), but that "
            f"of {model} was trained: search again with the new classes in the data"
        )
    if data is not None:
        path = data if is_demo(data) else _absolute(data)
        where = config.data.model_copy(update={"path": path})
        config = config.model_copy(update={"data": where})
    path = config.data.path
    if not is_demo(path) and not Path(path).expanduser().exists():
        raise ValueError(
            f"heads are fitted to all classes together, so the training data must be there, but "
            f"{path} is not; --data names where they are"
        )
    return record, config


def _unknown(new: NewImages, known: Hierarchy) -> NewImages:
    """Leave out what a table gives of known classes: a person recognised images of them."""
    if new.table is None:
        return new
    parents = (known.super_names[parent] for parent in known.sub_to_super)
    pairs = set(map(NewClass, parents, known.sub_names))
    rest = [c for c in new.classes if c not in pairs]
    if len(rest) == len(new.classes) or not rest:
        return new
    n_known = sum(new.classes[label] in pairs for label in new.labels.tolist())
    images = counted(n_known, "image", "images")
    return only(new, rest, note=f"left out: {images} of classes that the model knows")


def _backbone(bundle: Bundle, config: Config) -> Backbone:
    """The model's own backbone; the head of its published weights where a score needs one."""
    backbone = build_backbone(bundle.backbone, "none")
    backbone.module.load_state_dict(bundle.net.backbone.state_dict())
    names = [name for name in bundle.scores if name.startswith("pretrained_")]
    if not names:
        return backbone
    weight = bundle.states.get("pretrained_mass.weight")
    if weight is not None:
        head = PretrainedHead(weight, bundle.states["pretrained_mass.bias"])
        return backbone._replace(pretrained_head=head)
    # The other score keeps an adapted head only.
    published = build_backbone(bundle.backbone, config.model.weights)
    return backbone._replace(pretrained_head=published.pretrained_head)


def _check_base(cache: ImageCache, known: Hierarchy, record: TrainingRecord) -> None:
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


def _again(addition: Addition) -> NewImages:
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


def _with_heads(bundle: Bundle, fitted: Fitted, backbone: Backbone) -> Bundle:
    heads = fitted.run.net.cpu().eval()
    assert isinstance(heads, TwoHeads)
    return replace(
        bundle,
        net=TwoHeadNet(backbone, heads).eval(),
        hierarchy=fitted.run.cache.hierarchy,
        states=fitted.states,
        rule=None,
        calibration=None,
        directory=None,
    )


def _counted(new: NewImages, cache: ImageCache) -> list[AddedClass]:
    first = cache.hierarchy.n_sub - len(new.classes)
    counts = np.bincount(cache.sub_labels - first, minlength=len(new.classes)).tolist()
    return [AddedClass(*names, images=n) for names, n in zip(new.classes, counts, strict=True)]


def _absolute(place: str | None) -> str | None:
    """An absolute path, also of a pattern."""
    return None if place is None else str(Path(place).expanduser().absolute())
