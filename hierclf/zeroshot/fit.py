"""A zero-shot model with thresholds: nothing is trained, training images choose the thresholds."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from hierclf.additions.fitted import Fitted, fit_heads
from hierclf.bundle.directory import Bundle
from hierclf.config import Config, load_config
from hierclf.nets.backbones import Backbone, image_backbone
from hierclf.nets.clip import PREFIX, image_side, load_clip
from hierclf.training.folds import REFIT, Fold
from hierclf.training.prepare import Prepared, StageProgress, configured_hidden, prepare
from hierclf.training.trained_bundle import bundle_from_run
from hierclf.zeroshot.heads import set_prompts
from hierclf.zeroshot.prompts import Prompts, embed_classes
from hierclf.zeroshot.words import TEMPLATES, read_names, read_templates

SCORES = ("mcm",)
"""The novelty score of zero-shot models: maximum concept matching."""


class Words(NamedTuple):
    """What the user says about the prompts.

    Attributes:
        names: a CSV with further names of classes, or None.
        templates: a text file with templates, or None for `TEMPLATES`.
    """

    names: Path | None = None
    templates: Path | None = None


class Clip(NamedTuple):
    """A CLIP model on data: its features of all images, and its directions of all classes.

    Attributes:
        config: what the data and features were opened with.
        backbone: the image tower.
        prepared: images, folds and features, unit vectors.
        prompts: of all classes.
    """

    config: Config
    backbone: Backbone
    prepared: Prepared
    prompts: Prompts


class ZeroShot(NamedTuple):
    """A zero-shot model: its network with the thresholds, and what they rest on."""

    bundle: Bundle
    fitted: Fitted


def zero_shot_config(name: str, weights: str, base: Config, *, side: int) -> Config:
    """The configuration of a zero-shot model on the data and folds of another one.

    Args:
        name, weights: of a CLIP model.
        base: whose data, folds, goal and seed are taken.
        side: of the model's images in pixels.
    """
    tree: dict[str, Any] = base.model_dump(include={"data", "folds", "seed"})
    tree["data"]["group_by"] = ".+"  # nothing is trained: images that are alike may be apart
    tree["model"] = {
        "backbone": PREFIX + name,
        "weights": weights,
        "freeze": "backbone",
        "image_size": side,
        "crop_fraction": 1.0,
    }
    tree["train"] = {"views": 0, "strength": 0.0}
    tree["search"] = {"trials": 0, "space": {}}
    tree["thresholds"] = base.thresholds.model_dump() | {"scores": ("msp", *SCORES)}
    config = Config.model_validate(tree)
    # Every other configuration has msp beside its scores; here the paper's own score is alone.
    thresholds = config.thresholds.model_copy(update={"scores": SCORES})
    return config.model_copy(update={"thresholds": thresholds})


def open_clip_on(
    base: Config,
    name: str,
    weights: str,
    words: Words,
    *,
    directory: Path,
    device: torch.device,
    progress: StageProgress | None = None,
) -> Clip:
    """Open the data, and compute a CLIP model's features and prompts.

    Args:
        base: whose data and folds are taken.
        name: as open_clip names the model.
        weights: a tag or a .safetensors file.
        words: further names and templates.
        directory: where decoded images and features are kept.
        device: where features are computed.
        progress: called as (what, done, total).

    Raises:
        ValueError: what is wrong with the data, the model or the words, in one line.
    """
    if weights == "none":
        raise ValueError("a zero-shot model needs trained weights, but got none")
    templates = TEMPLATES if words.templates is None else read_templates(words.templates)
    model = load_clip(name, weights)
    config = zero_shot_config(name, weights, base, side=image_side(model))
    backbone = image_backbone(name, model)
    prepared = prepare(
        config, directory=directory, device=device, progress=progress, backbone=backbone
    )
    hierarchy = prepared.cache.hierarchy
    more = {} if words.names is None else read_names(words.names, hierarchy)
    prompts = embed_classes(model, name, hierarchy, templates=templates, more=more)
    return Clip(config, backbone, prepared, prompts)


def zero_shot(clip: Clip, progress: StageProgress | None = None) -> ZeroShot:
    """Choose thresholds on classes that the folds hide, and say what to expect of them.

    Since nothing is trained, every image of a fold's known classes tells how known images score.

    Args:
        clip: from `open_clip_on`.
        progress: called as (what, done, total).
    """
    folds = {name: _all_val(fold, clip.prepared) for name, fold in clip.prepared.folds.items()}
    fitted = fit_heads(
        clip.prepared._replace(folds=folds),
        clip.config,
        configured_hidden(clip.prepared.cache.hierarchy, clip.config).parts,
        [],
        train=partial(set_prompts, prompts=clip.prompts),
        progress=None if progress is None else partial(progress, "hiding classes"),
    )
    bundle = bundle_from_run(fitted.run, fitted.states, backbone=clip.backbone)
    return ZeroShot(replace(bundle, rule=fitted.rule, calibration=fitted.calibration), fitted)


def base_config(data: str, overrides: Sequence[str]) -> Config:
    """Data and folds as the command line names them, with the mixed folds of the recipe `cpu`."""
    values = {"data.path": data}
    return load_config(None, ["folds.mixed=3", *overrides], values=values)


def _all_val(fold: Fold, prepared: Prepared) -> Fold:
    """The fold with every image of its known classes in val."""
    if fold.name == REFIT:
        return fold
    return replace(fold, val=np.setdiff1d(np.arange(len(prepared.cache.names)), fold.held_out))
