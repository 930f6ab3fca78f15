"""The model directory: a trained network and everything that its predictions need, as data.

    bundle.json          schema, backbone, preprocessing, hierarchy, scores, versions, and the
                         checksum of every other file (see `checksums`)
    thresholds.json      score and threshold of each level; may be replaced later
    model.safetensors    the network's weights
    scores.safetensors   the state of the fitted scores
    score_table.parquet  optional: scores of held-out images, to choose thresholds on
                         (see `score_table_file`)
    training_images.parquet  optional: names of the training images behind the kNN score, for
                         explanations (see `training_images_file`)
    training.json        optional: how it was trained, to add classes (see
                         `hierclf.training.record`)

Nothing is unpickled or executed, so that a directory from an untrusted source is safe to load. Its
content is validated before use, and memory stays within a few times its size: first types and
ranges of the description, then names, types and shapes of all weights against the network that it
describes (built on the meta device), then network and scores with a test image.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from hierclf.bundle.checksums import DESCRIPTION, check_sums
from hierclf.bundle.rule_file import RULE_FILE, RuleFile, load_rule, save_rule
from hierclf.bundle.weights_check import (
    STATES,
    WEIGHTS,
    check_weights,
    try_scores,
)
from hierclf.data.preprocessing import Preprocessing
from hierclf.errors import refused_as
from hierclf.hierarchy import Hierarchy
from hierclf.io.atomic import read_json_object, write_json_object
from hierclf.io.digest import sha256_of
from hierclf.nets.backbones import build_backbone
from hierclf.nets.inference import fold_batch_norm
from hierclf.nets.two_heads import TwoHeadNet, TwoHeads
from hierclf.rules.calibration import Calibration
from hierclf.rules.rule import Rule
from hierclf.scores import SCORES, State
from hierclf.scores.renamed import RENAMED, current_names, warn_of_former_names
from hierclf.version import package_version

SCHEMA = 3
SCORE_TABLE = "score_table.parquet"
TRAINING_IMAGES = "training_images.parquet"
TRAINING = "training.json"
_VERSIONS = ("hierclf", "torch", "torchvision", "numpy", "pillow")


@dataclass(frozen=True)
class Bundle:
    """A model directory in memory.

    Attributes:
        net: on the CPU, in eval mode.
        backbone: name of the network's backbone.
        novel_output: whether the heads have the extra "novel" unit.
        preprocessing: from a decoded image to the network's input.
        hierarchy: the known classes and the novel ids.
        scores: names of the fitted scores.
        states: from `fit_scores`.
        rule: scores and thresholds; None before they are chosen.
        calibration: of probabilities; None leaves them uncalibrated.
        directory: that it was loaded from, for what only explanations read; None if it was not.
    """

    net: TwoHeadNet
    backbone: str
    novel_output: bool
    preprocessing: Preprocessing
    hierarchy: Hierarchy
    scores: tuple[str, ...]
    states: State
    rule: Rule | None = None
    calibration: Calibration | None = None
    directory: Path | None = field(default=None, compare=False)

    @cached_property
    def inference_net(self) -> nn.Module:
        """`net` with batch normalisation folded in: the same outputs up to rounding, faster."""
        return fold_batch_norm(self.net).to(memory_format=torch.channels_last)


def save_bundle(bundle: Bundle, directory: Path) -> None:
    """Write a model directory; `bundle.json`, which makes it valid, after the network's files.

    Existing thresholds, an existing score table, names of training images and the record of
    training are removed: they belong to another network.

    Args:
        bundle: what to write.
        directory: created if missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in (DESCRIPTION, RULE_FILE, SCORE_TABLE, TRAINING_IMAGES, TRAINING):
        (directory / name).unlink(missing_ok=True)
    weights = {key: tensor.contiguous() for key, tensor in bundle.net.state_dict().items()}
    safetensors.torch.save_file(weights, directory / WEIGHTS)
    safetensors.numpy.save_file(bundle.states, directory / STATES)
    description = {
        "schema": SCHEMA,
        "backbone": bundle.backbone,
        "novel_output": bundle.novel_output,
        "preprocessing": asdict(bundle.preprocessing),
        "hierarchy": bundle.hierarchy.to_dict(),
        "scores": list(bundle.scores),
        "sha256": {name: sha256_of(directory / name) for name in (WEIGHTS, STATES)},
        "versions": {"python": platform.python_version()}
        | {n: package_version(n) for n in _VERSIONS},
    }
    write_json_object(directory / DESCRIPTION, description)
    if bundle.rule is not None:
        save_rule(directory, bundle.rule, bundle.calibration)


def load_bundle(directory: Path | str) -> Bundle:
    """Read a model directory.

    Args:
        directory: as `save_bundle` writes it.

    Raises:
        ValueError: not a model directory, another schema, a damaged file (checksums), or parts that
            do not match; one line, whatever the files contain.
    """
    directory = Path(directory)
    with refused_as("a model directory", directory, DESCRIPTION):
        return _load(directory, _description(directory))


def load_hierarchy(directory: Path | str) -> Hierarchy:
    """The hierarchy of a model directory, without its network.

    Raises:
        ValueError: as `load_bundle`.
    """
    directory = Path(directory)
    with refused_as("a model directory", directory, DESCRIPTION):
        return Hierarchy.from_dict(_description(directory)["hierarchy"])


class Card(NamedTuple):
    """The small files of a model directory: classes, scores, and the rule if there is one."""

    hierarchy: Hierarchy
    scores: tuple[str, ...]
    rule: Rule | None
    calibration: Calibration | None


def load_card(directory: Path | str) -> Card:
    """Read the small files of a model directory, without its network.

    Raises:
        ValueError: as `load_bundle`.
    """
    directory = Path(directory)
    with refused_as("a model directory", directory, DESCRIPTION):
        description = _description(directory)
        scores = _score_names(description)
        hierarchy = Hierarchy.from_dict(description["hierarchy"])
        return Card(hierarchy, scores, *_load_rule(directory, description, scores))


def _description(directory: Path) -> dict[str, Any]:
    if not directory.is_dir():
        raise ValueError("is no folder")
    description = read_json_object(directory / DESCRIPTION)
    schema = description["schema"]
    if type(schema) is not int or schema != SCHEMA:
        newer = type(schema) is int and schema > SCHEMA
        advice = "update hierclf" if newer else "train it again, or use the hierclf that wrote it"
        raise ValueError(f"its schema must be {SCHEMA}, not {schema!r}: {advice}")
    for key, kind in (("backbone", str), ("novel_output", bool), ("preprocessing", dict)):
        if type(description[key]) is not kind:
            raise ValueError(f"`{key}` must be of type {kind.__name__}, got {description[key]!r}")
    return description


def _load(directory: Path, description: dict[str, Any]) -> Bundle:
    check_sums(directory, description, (WEIGHTS, STATES))
    scores = _score_names(description)
    found = _load_rule(directory, description, scores)
    preprocessing = Preprocessing(**description["preprocessing"])
    hierarchy = Hierarchy.from_dict(description["hierarchy"])
    with torch.device("meta"):
        planned = _network(description, hierarchy)
    check_weights(directory / WEIGHTS, planned.state_dict())
    net = _network(description, hierarchy)
    net.load_state_dict(safetensors.torch.load_file(directory / WEIGHTS))
    states = safetensors.numpy.load_file(directory / STATES)
    bundle = Bundle(
        net=net.eval().to(memory_format=torch.channels_last),
        backbone=description["backbone"],
        novel_output=description["novel_output"],
        preprocessing=preprocessing,
        hierarchy=hierarchy,
        scores=scores,
        states={current_names(key): np.asarray(array) for key, array in states.items()},
        rule=found.rule,
        calibration=found.calibration,
        directory=directory,
    )
    image_size = preprocessing.image_size
    try_scores(bundle.net, bundle.states, scores, hierarchy, image_size=image_size)
    return bundle


def _network(description: dict[str, Any], hierarchy: Hierarchy) -> TwoHeadNet:
    """The network that a description names, with random weights."""
    backbone = build_backbone(description["backbone"], "none")
    heads = TwoHeads(
        backbone.n_features,
        hierarchy.n_super,
        hierarchy.n_sub,
        novel_output=description["novel_output"],
    )
    return TwoHeadNet(backbone, heads)


def _load_rule(directory: Path, description: dict[str, Any], scores: Sequence[str]) -> RuleFile:
    if (directory / RULE_FILE).exists():
        check_sums(directory, description, [RULE_FILE])
    return load_rule(directory, scores)


def _score_names(description: dict[str, Any]) -> tuple[str, ...]:
    if not isinstance(description["scores"], list):
        raise ValueError(f"`scores` must be a list, but got {description['scores']!r}")
    unknown = sorted(set(description["scores"]) - set(SCORES) - set(RENAMED))
    if unknown:
        raise ValueError(f"its scores must be among {sorted(SCORES)}, not {unknown}")
    warn_of_former_names(description["scores"])
    return tuple(current_names(name) for name in description["scores"])
