"""The configuration: strict pydantic models read from YAML, with `key=value` overrides.

Unknown keys and values out of range are refused in one line that names the key, the rule and the
value received.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hierclf.recipes import config_file
from hierclf.rules.goals import Goal, Kind
from hierclf.scores import SCORES

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(_Strict):
    """Where the images are and how they are stored once decoded."""

    path: str = "demo"
    """A folder, a Parquet file, or `demo` / `demo:SEED`."""
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Side of the decoded images in pixels; None keeps the size that all images share."""
    max_bad_share: Share = 0.01
    """Share of unreadable images above which nothing starts."""
    stream: bool = False
    """Read Parquet files anew in every epoch instead of keeping their images decoded."""


class ModelConfig(_Strict):
    """The network."""

    backbone: str = "resnet50"
    """`smallnet`, a torchvision ResNet, or (with the timm extra) the name of any timm model."""
    weights: str = "default"
    """`default` (the backbone's published weights), `none`, or a .safetensors / .pth file."""
    freeze: Literal["none", "backbone"] = "none"
    """`backbone`: features are computed once and only the two heads are trained."""
    novel_output: bool = False
    """Append the paper's extra "novel" unit to each head."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 224
    """Side in pixels of what the network sees."""
    crop_fraction: Annotated[float, Field(gt=0.1, le=1)] = 0.875
    """Evaluation resizes the shorter side to image_size / crop_fraction and crops the centre."""

    @model_validator(mode="after")
    def _frozen_is_trained(self) -> "ModelConfig":
        # Random features are useless, and every process would draw other ones.
        if self.freeze == "backbone" and self.weights == "none":
            raise ValueError("freeze=backbone needs weights other than none, but got weights=none")
        return self


class TrainConfig(_Strict):
    """One training run. lr, weight_decay and strength are what the search varies."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Images a step over all workers of a trial."""
    eval_batch_size: Annotated[int, Field(ge=1)] = 128
    lr: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    strength: Annotated[float, Field(ge=0, le=3)] = 1.0
    """Augmentation strength: 0 is none, 1 is the paper's recipe."""
    sub_weight: Positive = 1.0
    """Weight of the sub-class loss in the sum."""
    clip_norm: Positive | None = None
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    """Train a network compiled by torch.compile: pays for long runs, after a minute or so."""
    views: Annotated[int, Field(ge=0, le=64)] = 4
    """Augmented views an image whose features are cached; used with freeze: backbone only."""


class FoldConfig(_Strict):
    """Class-holdout folds."""

    sub: Annotated[int, Field(ge=2)] = 5
    """Folds that each hide one part of the sub-classes."""
    super: Annotated[int, Field(ge=0)] = 5
    """Folds that each hide one whole super-class; at most one for each is made."""
    mixed: Annotated[int, Field(ge=0)] = 0
    """Folds that each hide one whole super-class and a share of the sub-classes of the others."""
    mixed_share: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """That share."""
    val_fraction: Annotated[float, Field(gt=0, lt=0.9)] = 0.15


class Range(_Strict):
    """A closed interval."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"low < high must hold, but got low={self.low}, high={self.high}")
        return self


class SearchConfig(_Strict):
    """The hyper-parameter search."""

    trials: Annotated[int, Field(ge=1)] = 20
    lr: Range = Range(low=1e-5, high=1e-2)
    weight_decay: Range = Range(low=1e-6, high=1e-1)
    strength: Range = Range(low=0.0, high=2.0)
    grace_epochs: Annotated[int, Field(ge=1)] = 3
    """Epochs that every trial runs before early stopping may end it."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _logarithmic(self) -> "SearchConfig":
        for name in ("lr", "weight_decay"):
            low = getattr(self, name).low
            if low <= 0:
                raise ValueError(f"{name}.low > 0 must hold (it is searched in log), but got {low}")
        if not (self.strength.low >= 0 and self.strength.high <= 3):
            raise ValueError(f"strength must lie within 0 to 3, but got {self.strength}")
        return self


class ThresholdConfig(_Strict):
    """The search for score and tau of each head."""

    scores: tuple[str, ...] = ("msp", "max_logit", "energy", "knn", "mahalanobis")
    """Names of scores to choose among; msp always, since the paper's rule is compared with."""
    trials: Annotated[int, Field(ge=1)] = 200
    sampler: Literal["tpe", "gp"] = "tpe"
    """`gp`, a Gaussian process, takes minutes where `tpe` takes seconds."""
    goal: Kind = "balanced"
    """What thresholds serve; `hierclf thresholds` changes it later."""
    novel_rate: float | None = None
    """With the goal `overall`: share of novel images, in (0, 1)."""
    seen: float | None = None
    """With the goal `seen-at-least`: the seen accuracy to keep, in (0, 1]."""

    @property
    def target(self) -> Goal:
        """The goal with its number."""
        return Goal(self.goal, novel_rate=self.novel_rate, seen=self.seen)

    @model_validator(mode="after")
    def _goal_is_complete(self) -> "ThresholdConfig":
        _ = self.target
        return self

    @field_validator("scores")
    @classmethod
    def _are_known(cls, scores: tuple[str, ...]) -> tuple[str, ...]:
        if not set(scores) <= set(SCORES) or len(set(scores)) < len(scores) or "msp" not in scores:
            raise ValueError(
                f"scores must be among {', '.join(SCORES)}, each once, with msp, "
                f"but got {list(scores)}"
            )
        return scores


class Config(_Strict):
    """Everything that a run depends on."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    folds: FoldConfig = FoldConfig()
    search: SearchConfig = SearchConfig()
    thresholds: ThresholdConfig = ThresholdConfig()
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _streamed_is_trained_whole(self) -> "Config":
        if self.data.stream and self.model.freeze != "none":
            raise ValueError(
                "data.stream=true needs model.freeze=none (features of all images would be kept), "
                f"but got model.freeze={self.model.freeze}"
            )
        return self

    def with_hyperparameters(self, *, lr: float, weight_decay: float, strength: float) -> "Config":
        """The same configuration with the three searched values replaced."""
        tuned = {"lr": lr, "weight_decay": weight_decay, "strength": strength}
        return Config.model_validate(self.model_dump() | {"train": self.train.model_dump() | tuned})


def load_config(path: str | Path | None, overrides: list[str] | None = None) -> Config:
    """Read a YAML file and apply overrides such as `train.lr=3e-4`.

    Args:
        path: a YAML file or the name of a recipe (see `recipes`); None for the defaults.
        overrides: `section.key=value`; the value is read as YAML.

    Raises:
        ValueError: the file is missing or no YAML mapping; a key is unknown; a value breaks a rule.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read_yaml(config_file(path))
    for override in overrides or []:
        _apply_override(tree, override)
    return parse_config(tree, origin=str(path) if path else "the configuration")


def parse_config(tree: dict[str, Any], *, origin: str = "the configuration") -> Config:
    """Validate a nested mapping; errors become one line of ValueError."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ValueError(f"{origin}: {_one_line(error)}") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be valid YAML: {' '.join(str(error).split())}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError(f"{path} must hold a mapping of sections, got {type(tree).__name__}")
    return tree


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ValueError(f"--set takes section.key=value, but got {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"--set {key}: the value must be YAML, but got {text!r}") from None
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ValueError(f"--set {key}: {section} is not a section")
    tree[last] = value


def _one_line(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "value"
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key {key}")
        elif item["type"] == "value_error":  # our own rules say what they got
            rule = str(item["ctx"]["error"])
            # One about several sections names its keys itself.
            parts.append(f"{key}: {rule}" if item["loc"] else rule)
        else:
            parts.append(f"{key}: {item['msg']}, but got {item.get('input')!r}")
    return "; ".join(parts)
