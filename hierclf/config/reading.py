"""Reading a configuration from YAML, with `section.key=value` overrides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from hierclf.config.recipes import config_file
from hierclf.config.sections import Config
from hierclf.config.space import DEFAULT_SPACE, Choices, Interval


def load_config(
    path: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    values: Mapping[str, Any] | None = None,
) -> Config:
    """Read a YAML file and apply overrides such as `train.lr=3e-4`.

    Args:
        path: a YAML file or the name of a recipe (see `recipes`); None for the defaults.
        overrides: `section.key=value`; the value is read as YAML.
        values: by dotted key, as they are; they win over all else.

    Raises:
        ValueError: the file is missing or no YAML mapping; a key is unknown; a value breaks a rule.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        tree = _read_yaml(config_file(path))
    for override in overrides:
        _apply_override(tree, override)
    for key, value in (values or {}).items():
        _apply(tree, key, value)
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
    if key.startswith("search.space."):
        _override_space(tree, key, value)
    else:
        _apply(tree, key, value)


def _apply(tree: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ValueError(f"--set {key}: {section} is not a section")
    tree[last] = value


def _override_space(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set one parameter, or a part of it, or remove it with null; the others stay as they are."""
    name = key.removeprefix("search.space.")
    name, _, part = name.rpartition(".") if name.rpartition(".")[2] in _PARTS else (name, "", "")
    search = tree.setdefault("search", {})
    default = {name: parameter.model_dump() for name, parameter in DEFAULT_SPACE.items()}
    space = search.setdefault("space", default) if isinstance(search, dict) else None
    if not isinstance(space, dict):
        raise ValueError(f"--set {key}: search.space is no mapping")
    if part:
        space[name] = {**(space.get(name) or {}), part: value}
    elif value is None:
        space.pop(name, None)
    else:
        space[name] = value


_PARTS = {*Interval.model_fields, *Choices.model_fields}


def _one_line(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        loc = [str(part) for part in item["loc"]]
        # Parts such as <interval> name a form of the space, not a key.
        key = ".".join(part for part in loc if not part.startswith("<")) or "value"
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown key {key}")
        elif item["type"] == "value_error":  # our own rules say what they got
            rule = str(item["ctx"]["error"])
            # One about several sections names its keys itself.
            parts.append(f"{key}: {rule}" if item["loc"] else rule)
        else:
            parts.append(f"{key}: {item['msg']}, but got {item.get('input')!r}")
    return "; ".join(parts)
