"""Add classes to a model directory: heads, scores and thresholds anew, on features that stay.

The values that the search chose stay, and so do its folds: the classes of the search are hidden
where they were, and every added class is hidden, too (see `hierclf.training.added_folds`).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from hierclf.additions.fitted import Fitted, expected_of, fit_heads
from hierclf.additions.hierarchy import check_new
from hierclf.additions.labelled import NewClass, NewImages, only
from hierclf.additions.opening import (
    absolute,
    again,
    check_base,
    growable,
    open_parts,
    own_backbone,
    with_parts,
)
from hierclf.bundle.directory import Bundle, load_bundle, save_bundle
from hierclf.bundle.rule_file import save_rule
from hierclf.bundle.score_table_file import load_score_table, save_score_table
from hierclf.counts import counted
from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy
from hierclf.io.atomic import draft_of
from hierclf.nets.backbones import Backbone
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.rules.promise import Promised
from hierclf.training.prepare import (
    StageProgress,
    prepare,
)
from hierclf.training.record import (
    AddedClass,
    Addition,
    TrainingRecord,
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
    record, config = growable(model, data)
    bundle = load_bundle(model)
    new = _unknown(new, bundle.hierarchy)
    check_new(bundle.hierarchy, new.classes, new_super=new_super)
    table, parts, may = load_score_table(model)
    backbone = own_backbone(bundle, config)
    base = prepare(config, directory=cache_dir, device=device, progress=progress, backbone=backbone)
    check_base(base.cache, bundle.hierarchy, record)
    every = [*map(again, record.additions), new]
    how: dict[str, Any] = {"directory": cache_dir, "device": device, "progress": progress}
    opened = open_parts(every, base.cache, config, backbone, **how)
    prepared, parts_now, chosen_on = with_parts(base, opened, config, cache_dir)
    report = None if progress is None else partial(progress, "training folds")
    fitted = fit_heads(prepared, config, parts_now, chosen_on, progress=report)
    _, before = expected_of(table, parts, may, bundle.scores, fitted.goal)
    added = _counted(new, opened[-1].cache)
    write_model(
        out,
        _with_heads(bundle, fitted, backbone),
        fitted,
        _recorded(replace(record, config=config), new, added, prepared.cache),
    )
    quarantine = opened[-1].cache.quarantine
    unreadable = list(zip(quarantine["image"], quarantine["reason"], strict=True))
    return Grown(out, prepared.cache.hierarchy, added, unreadable, before, fitted, new.notes)


def write_model(out: Path, bundle: Bundle, fitted: Fitted, record: TrainingRecord | None) -> None:
    """Write a whole model directory at once.

    Args:
        out: must not exist.
        bundle: with the heads and scores of `fitted`.
        fitted: what the rest is made of.
        record: how it was trained; None for heads that were not, to which no class can be added.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(out) as draft:
        save_bundle(bundle, draft)
        save_rule(draft, fitted.rule, fitted.calibration)
        save_score_table(draft, fitted.table, fitted.parts, report=fitted.report)
        save_run_images(fitted.run, draft)
        if record is not None:
            save_record(draft, record)


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


def _with_heads(bundle: Bundle, fitted: Fitted, backbone: Backbone) -> Bundle:
    heads = fitted.run.evaluated.cpu().eval()
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


def _recorded(
    record: TrainingRecord, new: NewImages, added: Sequence[AddedClass], cache: ImageCache
) -> TrainingRecord:
    """The record with another addition.

    Args:
        record: of the former model.
        new: the images that were added.
        added: their classes.
        cache: all images.
    """
    addition = Addition(absolute(new.table), absolute(new.images), tuple(added))
    return replace(
        record,
        fingerprint=cache.content,
        n_images=len(cache.names),
        additions=(*record.additions, addition),
    )


def _counted(new: NewImages, cache: ImageCache) -> list[AddedClass]:
    first = cache.hierarchy.n_sub - len(new.classes)
    counts = np.bincount(cache.sub_labels - first, minlength=len(new.classes)).tolist()
    return [AddedClass(*names, images=n) for names, n in zip(new.classes, counts, strict=True)]
