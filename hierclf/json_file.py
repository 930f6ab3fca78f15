"""JSON objects in files: read with one clear complaint, written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from hierclf.out_files import draft_of

# A hierarchy of 100,000 classes needs a quarter of it.
MAX_JSON_BYTES = 16 * 2**20


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; ValueError if there is no file, no JSON, no object or too much."""
    if not path.is_file():
        raise ValueError(f"has no {path.name}")
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise ValueError(f"{path.name} has {size} bytes, more than the limit of {MAX_JSON_BYTES}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # the latter from brackets nested too deep
        raise ValueError(f"{path.name} is no valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object, but {type(content).__name__}")
    return content


def write_json_object(path: Path, content: dict[str, Any]) -> None:
    """Write an object as a JSON file, beside and then in one step in its place."""
    with draft_of(path) as draft:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        draft.write_text(text, encoding="utf-8")
