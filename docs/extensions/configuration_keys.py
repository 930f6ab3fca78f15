"""Every key of the configuration in Markdown, from the schema of its pydantic models."""

import json
from collections.abc import Iterator
from typing import Any

from hierclf.config import Config

Schema = dict[str, Any]
_LIMITS = {
    "minimum": "≥ {:,}",
    "exclusiveMinimum": "> {:,}",
    "maximum": "≤ {:,}",
    "exclusiveMaximum": "< {:,}",
}


def configuration_keys() -> str:
    """A heading for each section, and below it a definition for each key."""
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    parts = []
    alone = {}
    for name, field in schema["properties"].items():
        if "$ref" in field:  # a section
            parts += _section(name, definitions[field["$ref"].rpartition("/")[2]])
        else:
            alone[name] = field
    parts += ["## Beside the sections", *_keys("", alone)]
    for form in ("Interval", "Choices"):
        title = "an interval" if form == "Interval" else "choices"
        parts += _section("search.space", definitions[form], title=f"An entry as {title}")
    return "\n\n".join(parts)


def _section(name: str, section: Schema, title: str = "") -> Iterator[str]:
    yield f"## {title or f'`{name}`'}"
    yield section.get("description", "")
    prefix = "" if title else f"{name}."
    yield from _keys(prefix, section["properties"])


def _keys(prefix: str, fields: dict[str, Schema]) -> Iterator[str]:
    for key, field in fields.items():
        default = f", default {_value(field['default'])}" if "default" in field else ""
        text = " ".join(field["description"].split())
        yield f"`{prefix}{key}`\n: {_type(field)}{default}\n\n  {text}"


def _type(field: Schema) -> str:
    """What a value may be, in words."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    alternatives = field.get("anyOf") or field.get("oneOf")
    if alternatives:
        return " or ".join(_type(each) for each in alternatives)
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2].lower()
    name = {"null": "null", "array": "list", "object": "mapping"}.get(field["type"], field["type"])
    if field["type"] == "array":
        name += f" of ({_type(field['items'])})" if "anyOf" in field["items"] else " of texts"
    if field["type"] == "object":
        name += f" of dotted keys to {_type(field['additionalProperties'])}"
    if field["type"] == "string":
        name = "text"
    limits = [text.format(field[key]) for key, text in _LIMITS.items() if key in field]
    return ", ".join([name, *limits])


def _value(value: Any) -> str:
    """A default as it stands in YAML."""
    if isinstance(value, dict):
        entries = "; ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
        return f"`{entries}`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        set_ = {key: each for key, each in value.items() if each not in (None, False)}
        return "{" + ", ".join(f"{key}: {_plain(each)}" for key, each in set_.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
