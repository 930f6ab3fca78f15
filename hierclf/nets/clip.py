"""CLIP models by open_clip's names: two towers, for images and for texts, with one space.

Weights are read from safetensors only; open_clip would unpickle other files.

Shape legend: B images, D features.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hierclf.errors import one_line

PREFIX = "open_clip:"
"""Of a backbone's name: the image tower of one of open_clip's models."""
_PREPROCESSING = ("mean", "std", "interpolation")


class ImageTower(nn.Module):
    """The image tower of a CLIP model; its features are unit vectors."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """Normalised float images [B, 3, H, W] -> float [B, D], each of length 1."""
        return functional.normalize(self.visual(images), dim=-1)


def load_clip(name: str, weights: str) -> nn.Module:
    """Build one of open_clip's models, in evaluation mode.

    Args:
        name: as open_clip names it, such as `ViT-B-32`.
        weights: a tag of open_clip, such as `laion2b_s34b_b79k`, whose file is downloaded once; a
            .safetensors file; or `none` for random weights.

    Raises:
        ValueError: no open_clip installed, an unknown name, unknown weights, weights that are not
            in a safetensors file or do not fit, or a download that fails; in one line.
    """
    open_clip = library()
    if name not in open_clip.list_models():
        near = get_close_matches(name, open_clip.list_models(), n=3, cutoff=0.4)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise ValueError(f"a CLIP model must be one of open_clip's, but got {name!r}{hint}")
    path, preprocessing = _weights_file(open_clip, name, weights)
    try:
        with _quiet():
            model = open_clip.create_model(
                name,
                None if path is None else str(path),
                device=torch.get_default_device(),
                pretrained_text=False,  # else weights of other libraries would be downloaded
                force_preprocess_cfg=preprocessing,
            )
    except Exception as error:  # missing packages, weights of another model, a damaged file, ...
        what = f"weights {weights}" if path is not None else "random weights"
        reason = one_line(error)[:200]
        raise ValueError(f"{name} cannot be built with {what}: {reason}") from None
    if isinstance(model, open_clip.CoCa):
        raise ValueError(f"a CLIP model must have two towers, but {name} has a third, for captions")
    return model.eval()


def library() -> ModuleType:
    """The package open_clip.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import open_clip
    except ImportError:
        raise ValueError("CLIP models need open_clip: run pip install 'hierclf[clip]'") from None
    return open_clip


def image_side(model: nn.Module) -> int:
    """The side in pixels of the images that a model takes.

    Raises:
        ValueError: they are not square.
    """
    size = library().get_model_preprocess_cfg(model)["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ValueError(f"a CLIP model must take square images, but this takes {height} x {width}")
    return int(height)


def _weights_file(
    open_clip: ModuleType, name: str, weights: str
) -> tuple[Path | None, Mapping[str, Any]]:
    """The file of weights, None for random ones, and how images are prepared for them."""
    if weights == "none":
        return None, {}
    if not open_clip.is_pretrained_cfg(name, weights):
        path = Path(weights)
        if not path.is_file():
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
            raise ValueError(
                f"weights of {name} must be a .safetensors file or one of open_clip's tags, but "
                f"got {weights!r}; its tags: {tags}"
            )
        return _only_safetensors(path, name), {}
    settings = open_clip.get_pretrained_cfg(name, weights)
    quick = bool(settings.get("quick_gelu", False))
    if quick != bool(open_clip.get_model_config(name).get("quick_gelu", False)):
        other = f"{name}-quickgelu" if quick else name.removesuffix("-quickgelu")
        raise ValueError(f"the weights {weights} are of {other}, but the model is {name}")
    if not settings.get("hf_hub"):
        raise ValueError(
            f"the weights {weights} of {name} are published as a pickle, which can run code, and "
            "not as safetensors: take another tag, or convert them and name the file"
        )
    try:
        with _quiet():
            path = Path(open_clip.download_pretrained(settings))
    except Exception as error:  # the hub client raises many kinds, all meaning "not fetched"
        raise ValueError(
            f"the weights {weights} of {name} could not be downloaded ({one_line(error)[:200]}); "
            "name a .safetensors file instead"
        ) from None
    prepared = {key: settings[key] for key in _PREPROCESSING if settings.get(key) is not None}
    return _only_safetensors(path, name), prepared


def _only_safetensors(path: Path, name: str) -> Path:
    if path.suffix != ".safetensors":
        raise ValueError(
            f"the weights of {name} must be in a .safetensors file, which cannot run code, but got "
            f"{path.name}"
        )
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's log of each step, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
