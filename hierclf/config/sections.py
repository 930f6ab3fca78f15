"""The sections of the configuration, each a strict pydantic model."""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    model_validator,
)

from hierclf.config.backbones import AND, ROOT, in_one_text
from hierclf.config.data import DataConfig, FoldConfig
from hierclf.config.search import SearchConfig
from hierclf.config.space import (
    FEATURE_KEYS,
    Choices,
    Interval,
    Scalar,
    Strict,
    check_parameter,
)
from hierclf.config.thresholds import ThresholdConfig
from hierclf.config.training import TrainConfig


def _or_list(schema: dict[str, Any]) -> None:
    """Let editors take a list of a value's kind, too, as several backbones have it."""
    kind = {key: schema.pop(key) for key in list(schema) if key not in _OF_THE_KEY}
    schema["anyOf"] = [kind, {"type": "array", "items": kind, "minItems": 2}]


_OF_THE_KEY = ("title", "description", "default")
_OR_LIST = Field(json_schema_extra=_or_list)


class ModelConfig(Strict):
    """The network.

    A backbone `NAME+mirror` evaluates the mean of the features of an image and its mirror image;
    `NAME+root`, with freeze: backbone, takes the square roots of features.
    """

    backbone: Annotated[str, _OR_LIST] = "resnet50"
    """`smallnet`, a torchvision ResNet, (with the timm extra) the name of any timm model, or (with
    the clip extra) `open_clip:NAME`, the image tower of a CLIP model. A list of them puts their
    features side by side, with freeze: backbone; weights, image_size and crop_fraction may then be
    lists, too."""
    weights: Annotated[str, _OR_LIST] = "default"
    """`default` (the backbone's published weights), `none`, or a .safetensors / .pth file. For
    `open_clip:NAME` one of open_clip's tags, `none`, or a .safetensors file."""
    freeze: Literal["none", "backbone"] = "none"
    """`backbone`: features are computed once and only the two heads are trained."""
    novel_output: bool = False
    """Append the paper's extra "novel" unit to each head."""
    image_size: Annotated[int, Field(ge=16, le=1024), _OR_LIST] = 224
    """Side in pixels of what the network sees."""
    crop_fraction: Annotated[float, Field(gt=0.1, le=1), _OR_LIST] = 0.875
    """Evaluation resizes the shorter side to image_size / crop_fraction and crops the centre."""

    @model_validator(mode="before")
    @classmethod
    def _several_backbones(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        keys = ("weights", "image_size", "crop_fraction")
        return in_one_text(tree, {key: cls.model_fields[key].default for key in keys})

    @property
    def several(self) -> bool:
        """Whether there are several backbones."""
        return AND in self.backbone

    @model_validator(mode="after")
    def _frozen_is_trained(self) -> "ModelConfig":
        if self.several and self.freeze != "backbone":
            raise ValueError(
                f"several backbones need freeze=backbone: they are not trained together, but got "
                f"freeze={self.freeze}"
            )
        rooted = [name for name in self.backbone.split(AND) if ROOT in name]
        if rooted and self.freeze != "backbone":  # a root has no finite slope at 0
            raise ValueError(
                f"a backbone with {ROOT} needs freeze=backbone: its features are not trained, but "
                f"got freeze={self.freeze}"
            )
        # Random features are useless, and every process would draw other ones.
        if self.freeze == "backbone" and "none" in self.weights.split(AND):
            raise ValueError("freeze=backbone needs weights other than none, but got weights=none")
        return self


# Keys of `train` that change how a backbone is trained.
_OF_WHOLE_NETWORKS = (
    "augmentation",
    "contrastive",
    "layer_decay",
    "head_epochs",
    "mix",
    "self_supervised",
)


class Config(Strict):
    """Everything that a run depends on."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    folds: FoldConfig = FoldConfig()
    search: SearchConfig = SearchConfig()
    thresholds: ThresholdConfig = ThresholdConfig()
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of folds, trials, weights and batches."""

    @model_validator(mode="after")
    def _streamed_is_trained_whole(self) -> "Config":
        if self.data.stream and self.model.freeze != "none":
            raise ValueError(
                "data.stream=true needs model.freeze=none (features of all images would be kept), "
                f"but got model.freeze={self.model.freeze}"
            )
        return self

    @model_validator(mode="after")
    def _frozen_backbone_is_not_trained(self) -> "Config":
        if self.model.freeze == "none":
            return self
        for name in _OF_WHOLE_NETWORKS:
            value = getattr(self.train, name)
            if value != TrainConfig.model_fields[name].default:
                raise ValueError(
                    f"train.{name} needs model.freeze=none (a frozen backbone is not trained, and "
                    f"its features are computed beforehand), but got train.{name}={value}"
                )
        return self

    @model_validator(mode="after")
    def _outliers_are_given(self) -> "Config":
        if self.train.outlier != "none" and self.data.novel is self.data.generated is None:
            raise ValueError(
                "train.outlier trains on images of no known class: give data.novel or "
                f"data.generated, too, but got train.outlier={self.train.outlier} without them"
            )
        return self

    @model_validator(mode="after")
    def _only_heads_are_no_training(self) -> "Config":
        first, heads = self.train.self_supervised, self.train.head_epochs
        if first + heads >= self.train.epochs:
            both = ("train.self_supervised + train.head_epochs", f"{first} + {heads}")
            what, value = both if first else ("train.head_epochs", heads)
            raise ValueError(
                f"{what} must be below train.epochs, but got {value} and {self.train.epochs}"
            )
        return self

    @model_validator(mode="after")
    def _streams_show_an_image_once(self) -> "Config":
        if self.data.stream and self.train.self_supervised:
            raise ValueError(
                "data.stream=true needs train.self_supervised=0 (a stream reads each image once an "
                f"epoch, not twice), but got train.self_supervised={self.train.self_supervised}"
            )
        return self

    @model_validator(mode="after")
    def _streams_are_only_shuffled(self) -> "Config":
        if self.data.stream and self.train.sampling != "shuffle":
            raise ValueError(
                "data.stream=true needs train.sampling=shuffle (a stream has an order of its own), "
                f"but got train.sampling={self.train.sampling}"
            )
        return self

    @model_validator(mode="after")
    def _only_heads_have_seeds(self) -> "Config":
        if self.model.freeze == "none" and self.train.seeds > 1:
            raise ValueError(
                "train.seeds above 1 needs model.freeze=backbone (the mean of the weights of whole "
                f"networks is no good network), but got train.seeds={self.train.seeds}"
            )
        return self

    @model_validator(mode="after")
    def _closed_form_heads_have_features(self) -> "Config":
        if self.train.heads == "lda":
            if self.model.freeze == "none":
                raise ValueError(
                    "train.heads=lda needs model.freeze=backbone (heads of features that do not "
                    "change), but got model.freeze=none"
                )
            if self.model.novel_output:
                raise ValueError(
                    "train.heads=lda needs model.novel_output=false (no image shows what the unit "
                    "stands for), but got model.novel_output=true"
                )
        return self

    @model_validator(mode="after")
    def _space_can_be_searched(self) -> "Config":
        space = self.search.space
        if not space and self.search.trials:
            raise ValueError("search.space must name a value, or search.trials be 0, but is empty")
        alone = self.model_copy(update={"search": SearchConfig(trials=0, space={})})
        varied = sorted(FEATURE_KEYS.intersection(space) - {"train.views"})
        if self.model.several and varied:
            raise ValueError(f"search.space cannot vary {varied[0]} of several backbones")
        for key, parameter in space.items():
            check_parameter(Config, key, parameter)
            frozen = self.model.freeze == "backbone" and key in FEATURE_KEYS
            if frozen and isinstance(parameter, Interval):
                raise ValueError(
                    f"search.space: {key} changes the features of a frozen backbone, which are "
                    "computed before the first trial: give choices, but got low and high"
                )
            for value in self.tried(key):
                _try(alone, key, value)
        return self

    @property
    def trains_on_outliers(self) -> bool:
        """Whether some trial trains on images of no known class."""
        return set(self.tried("train.outlier")) != {"none"}

    @property
    def max_strength(self) -> float:
        """The strongest augmentation of any trial."""
        return max(self.tried("train.strength"))

    def tried(self, key: str) -> tuple[Any, ...]:
        """What a search tries for a dotted key: the ends of its interval, or its choices.

        The configuration's own value where the search does not vary it.
        """
        parameter = self.search.space.get(key)
        if parameter is None:
            return (self.value(key),)
        if isinstance(parameter, Interval):
            return parameter.low, parameter.high
        return parameter.choices

    def variants(self, keys: Iterable[str]) -> list["Config"]:
        """The configuration with every combination of the choices of some dotted keys."""
        varied = [key for key in keys if isinstance(self.search.space.get(key), Choices)]
        combinations = product(*(self.tried(key) for key in varied))
        return [self.with_values(dict(zip(varied, each, strict=True))) for each in combinations]

    def value(self, key: str) -> Any:
        """The value at a dotted key, such as `train.lr`."""
        section, name = key.split(".")
        return getattr(getattr(self, section), name)

    def with_values(self, values: Mapping[str, Scalar]) -> "Config":
        """The same configuration with the values at some dotted keys replaced.

        Raises:
            ValidationError: the configuration refuses a value.
        """
        tree = self.model_dump()
        for key, value in values.items():
            section, name = key.split(".")
            tree[section][name] = value
        return Config.model_validate(tree)


def _try(config: Config, key: str, value: Scalar) -> None:
    """Let a configuration without a space refuse a value that a trial would take."""
    try:
        config.with_values({key: value})
    except ValidationError as error:
        item = error.errors()[0]
        rule = item["ctx"]["error"] if item["type"] == "value_error" else item["msg"]
        raise ValueError(f"search.space: {key} cannot be {value}: {rule}") from None
