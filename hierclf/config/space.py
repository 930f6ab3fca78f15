"""The search space: which values of the configuration a search varies, and within what.

A space maps dotted keys of the configuration, such as `train.lr`, to an interval or to choices.
"""

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, model_validator

Scalar = bool | int | float | str | None


class Strict(BaseModel):
    """Base of all sections: immutable, no unknown keys, no NaN and no infinity.

    The text below a field is its description in the schema and in the documentation.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Interval(Strict):
    """A closed interval of numbers; whole numbers where the configuration's value is one."""

    low: float
    """The smallest value to try."""
    high: float
    """The largest value to try."""
    log: bool = False
    """Search the logarithm of the value."""
    step: float | None = None
    """Distance between neighbouring values, counted from `low`; None for any value."""

    @model_validator(mode="after")
    def _is_sound(self) -> "Interval":
        low, high, step = self.low, self.high, self.step
        if not low < high:
            raise ValueError(f"low < high must hold, but got low={low:g}, high={high:g}")
        if self.log and low <= 0:
            raise ValueError(f"low > 0 must hold with log: true, but got low={low:g}")
        if step is not None and not 0 < step <= high - low:
            raise ValueError(f"0 < step <= high - low must hold, but got step={step:g}")
        if step is not None and self.log:
            raise ValueError(f"step must not be given with log: true, but got step={step:g}")
        return self

    def __contains__(self, value: Scalar) -> bool:
        """Whether a search may try a value."""
        if isinstance(value, str | None) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-9


class Choices(Strict):
    """Alternatives without an order."""

    choices: tuple[Scalar, ...]
    """Two values or more, all different."""

    @model_validator(mode="after")
    def _differ(self) -> "Choices":
        if len(self.choices) < 2 or len(set(map(repr, self.choices))) < len(self.choices):
            raise ValueError(
                f"choices must be two values or more, all different, but got {list(self.choices)}"
            )
        return self


def _tag(value: Any) -> str:
    has_choices = "choices" in value if isinstance(value, dict) else isinstance(value, Choices)
    return "<choices>" if has_choices else "<interval>"


Parameter = Annotated[
    Annotated[Interval, Tag("<interval>")] | Annotated[Choices, Tag("<choices>")],
    Discriminator(_tag),
]
Space = dict[str, Parameter]

DEFAULT_SPACE: Space = {
    "train.lr": Interval(low=1e-5, high=1e-2, log=True),
    "train.weight_decay": Interval(low=1e-6, high=1e-1, log=True),
    "train.strength": Interval(low=0.0, high=2.0),
}
# Of a frozen backbone, features are computed before the first trial for each of these values.
FEATURE_KEYS = frozenset(
    {
        *("model.backbone", "model.weights", "model.image_size", "model.crop_fraction"),
        "train.views",
    }
)
_SECTIONS = ("model", "train")
_FIXED = ("model.freeze", "train.epochs")


def searchable_keys(config: type[BaseModel]) -> list[str]:
    """The dotted keys that a space may name, in the configuration's order."""
    keys = [
        f"{section}.{name}"
        for section in _SECTIONS
        for name in config.model_fields[section].annotation.model_fields  # type: ignore[union-attr]
    ]
    return [key for key in keys if key not in _FIXED]


def check_parameter(config: type[BaseModel], key: str, parameter: Interval | Choices) -> None:
    """Check that a key may vary, and in this form.

    Raises:
        ValueError: the configuration has no such key, all trials share its value, or an interval
            does not suit it.
    """
    allowed = searchable_keys(config)
    if key not in allowed:
        raise ValueError(
            f"search.space must name values of {' and '.join(_SECTIONS)} by their dotted keys (but "
            f"not {' and '.join(_FIXED)}), but got {key}"
        )
    if isinstance(parameter, Choices):
        return
    section, name = key.split(".")
    field = config.model_fields[section].annotation.model_fields[name]  # type: ignore[union-attr]
    kinds = set(_types(field.annotation))
    if not kinds & {int, float}:
        raise ValueError(f"search.space: {key} is no number: give choices, but got low and high")
    if float not in kinds:
        numbers = (parameter.low, parameter.high, parameter.step or 1)
        if any(number != int(number) for number in numbers):
            raise ValueError(
                f"search.space: {key} takes whole numbers, but got low={parameter.low:g}, "
                f"high={parameter.high:g}, step={parameter.step or 1:g}"
            )


def is_whole(config: type[BaseModel], key: str) -> bool:
    """Whether the value of a key is an integer."""
    section, name = key.split(".")
    field = config.model_fields[section].annotation.model_fields[name]  # type: ignore[union-attr]
    return float not in set(_types(field.annotation))


def _types(annotation: Any) -> Iterable[type]:
    """The plain types of an annotation: of `Annotated[int, ...] | None`, int and NoneType."""
    if get_origin(annotation) is Annotated:
        yield from _types(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _types(part)
    else:
        yield annotation


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Each key's last part, or the whole key where another one ends the same: for display."""
    keys = list(keys)
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)
    }


def shown(value: Scalar) -> str:
    """A searched value as text: three digits of a float, all else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shown_values(values: Mapping[str, Scalar]) -> str:
    """Searched values in one line: `lr=0.001 strength=0.5`."""
    names = short_names(values)
    return " ".join(f"{names[key]}={shown(value)}" for key, value in values.items())
