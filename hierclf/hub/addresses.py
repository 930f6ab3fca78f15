"""Where a model is: a path, a repository of the Hugging Face Hub, or an object store."""

import re
from pathlib import Path

from hierclf.storage.address import file_path, is_address
from hierclf.storage.fetch import fetch

_HUB = "hf://"
_ENDINGS = (".json", ".safetensors", ".parquet", ".onnx", ".npz")
_IN_RUN = "model/"


def is_elsewhere(model: str | Path) -> bool:
    """Whether a model is neither a path nor a `file://` address."""
    text = _text(model)
    return text.startswith(_HUB) or (is_address(text) and file_path(text) is None)


def local_model(model: str | Path) -> Path:
    """The model directory that is meant, fetched where it is elsewhere.

    Args:
        model: a path; hf://OWNER/NAME or hf://OWNER/NAME@REVISION (a branch, tag or commit); or an
            address such as s3://BUCKET/FOLDER. Exported models and, in object stores, runs count
            as model directories.

    Raises:
        ValueError: an address of another form, nothing there, it cannot be reached, or a package is
            missing; one line.
        OSError: the copy cannot be written.
    """
    text = _text(model)
    if text.startswith(_HUB):
        from hierclf.hub.repository import downloaded  # which imports torch

        return downloaded(text)
    if not is_address(text):
        return Path(model)
    if (path := file_path(text)) is not None:
        return path
    # It imports pandas, which an exported model must do without.
    from hierclf.data.cache import default_cache_dir

    return fetch(text, default_cache_dir() / "models", wanted=_is_of_a_model).place


def _text(model: str | Path) -> str:
    """The address as typed: a Path has one of its two slashes."""
    if isinstance(model, Path):
        return re.sub(r"^([A-Za-z][\w+.-]+:)/(?!/)", r"\1//", str(model))
    return model


def _is_of_a_model(name: str) -> bool:
    own = name.removeprefix(_IN_RUN)
    return "/" not in own and own.endswith(_ENDINGS)
