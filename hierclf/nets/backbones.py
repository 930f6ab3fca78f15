"""Backbones by name, and their weights: published, from a file, or none.

Shape legend: B images, D features, P classes that published weights were trained on.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from hierclf.errors import one_line
from hierclf.nets.clip import PREFIX, ImageTower, image_side, library, load_clip
from hierclf.nets.mirror import MIRROR, Mirrored
from hierclf.nets.root import ROOT, Rooted
from hierclf.nets.side_by_side import Part, SideBySide, are_several, members_of, weights_of
from hierclf.scores.base import PretrainedHead

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# CVE-2025-32434 (fixed in 2.6) and CVE-2026-24747 (fixed in 2.10): `weights_only` ran code.
FIRST_SAFE_TORCH = "2.10"
_HEAD_PREFIXES = ("fc.", "classifier.", "head.", "super_head.", "sub_head.", "heads.")
_CLASSIFIERS = ("fc", "classifier", "head", "head.fc")
_WRAPPER_PREFIXES = ("module.", "backbone.")


class Backbone(NamedTuple):
    """A feature extractor and the input that its weights expect.

    Attributes:
        module: float images [B, 3, H, W], normalised, to features [B, D].
        n_features: D.
        mean, std: normalisation of images in [0, 1].
        interpolation: how evaluation images are resized.
        pretrained_head: the classifier head in the weights, if there is one.
        image_size: the only side of images that it takes, in pixels; None if it takes any.
    """

    module: nn.Module
    n_features: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic"]
    pretrained_head: PretrainedHead | None = None
    image_size: int | None = None


def build_backbone(name: str, weights: str) -> Backbone:
    """Build a backbone by name.

    Args:
        name: `smallnet`, a torchvision ResNet (`resnet18`, `resnet50`, `wide_resnet50_2`, ...),
            `open_clip:` and one of open_clip's models when that is installed, or any timm model
            when timm is; `NAME+mirror` averages the features of an image and its mirror image in
            evaluation; `NAME+root` takes the square roots of features; or several, as
            `hierclf.nets.side_by_side.members_of` reads them.
        weights: `default` downloads the published weights (for torchvision the best of several:
            IMAGENET1K_V2 for resnet50); `none` starts from random ones; else a .safetensors or
            .pth file. For open_clip see `hierclf.nets.clip.load_clip`.

    Raises:
        ValueError: unknown name, weights that cannot be downloaded, or a file that does not fit.
    """
    if are_several(name):
        return _several_backbones(name, weights)
    if name.endswith(MIRROR):
        backbone = build_backbone(name.removesuffix(MIRROR), weights)
        return backbone._replace(module=Mirrored(backbone.module))
    if name.endswith(ROOT):
        backbone = build_backbone(name.removesuffix(ROOT), weights)
        head = backbone.pretrained_head
        head = None if head is None else head._replace(rooted=True)
        return backbone._replace(module=Rooted(backbone.module), pretrained_head=head)
    if name.startswith(PREFIX):
        clip = name.removeprefix(PREFIX)
        return image_backbone(clip, load_clip(clip, weights))
    published = weights == "default"
    if name == "smallnet":
        if published:
            raise ValueError("model.weights must be none or a file for smallnet, but got 'default'")
        backbone = Backbone(smallnet(), 128, (0.5,) * 3, (0.25,) * 3, "bilinear")
    elif name in _torchvision_resnets(name):
        backbone = _torchvision_resnet(name, published)
    else:
        backbone = _timm_backbone(name, published)
    if weights not in ("default", "none"):
        backbone = backbone._replace(pretrained_head=_load_file(backbone, Path(weights), name))
    return backbone


def image_backbone(name: str, model: nn.Module) -> Backbone:
    """The image tower of a CLIP model that `load_clip` built; its features are unit vectors."""
    how = library().get_model_preprocess_cfg(model)
    tower = ImageTower(cast(nn.Module, model.visual))
    interpolation: Literal["bilinear", "bicubic"] = (
        "bilinear" if how["interpolation"] == "bilinear" else "bicubic"
    )
    width = int(library().get_model_config(name)["embed_dim"])
    mean, std = tuple(how["mean"]), tuple(how["std"])
    return Backbone(tower, width, mean, std, interpolation, image_size=image_side(model))


def _several_backbones(name: str, weights: str) -> Backbone:
    members = members_of(name)
    parts = []
    for named, own in zip(members, weights_of(weights, len(members)), strict=True):
        built = build_backbone(named.name, own)
        if built.image_size not in (None, named.image_size):
            raise ValueError(
                f"model.image_size must be {built.image_size} for {named.name}, but got "
                f"{named.image_size}"
            )
        how = named, built.interpolation, built.mean, built.std
        parts.append(Part(built.module, built.n_features, *how))
    n_features = sum(part.n_features for part in parts)
    # They normalise by themselves.
    return Backbone(SideBySide(parts), n_features, (0.0,) * 3, (1.0,) * 3, "bilinear")


def smallnet(width: int = 16) -> nn.Module:
    """A plain convolutional net of 150,000 parameters for small images; D = 8 * width."""

    def block(n_in: int, n_out: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
        )

    w = width
    return nn.Sequential(
        block(3, w, 2),
        block(w, w, 1),
        block(w, 2 * w, 2),
        block(2 * w, 2 * w, 1),
        block(2 * w, 4 * w, 2),
        block(4 * w, 4 * w, 1),
        block(4 * w, 8 * w, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _torchvision_resnets(name: str) -> list[str]:
    """Torchvision's names of this family; its import takes seconds, which others are spared."""
    if not name.startswith(("resnet", "resnext", "wide_resnet")):
        return []
    with torch.device("cpu"):  # torch 2.6 cannot import its compiler while `meta` is the default
        import torchvision

    return torchvision.models.list_models(include=["resnet*", "resnext*", "wide_resnet*"])


def _torchvision_resnet(name: str, published: bool) -> Backbone:
    import torchvision

    try:
        module = torchvision.models.get_model(name, weights="DEFAULT" if published else None)
    except (OSError, RuntimeError) as error:  # no network, or a download cut short
        raise _no_download(name, error) from None
    classifier, module.fc = module.fc, nn.Identity()
    n_features = int(classifier.in_features)
    head = _pretrained_head(classifier.state_dict(), n_features) if published else None
    return Backbone(module, n_features, IMAGENET_MEAN, IMAGENET_STD, "bilinear", head)


def _timm_backbone(name: str, published: bool) -> Backbone:
    try:
        import timm
    except ImportError:
        raise ValueError(
            f"model.backbone must be smallnet or a torchvision ResNet, but got {name!r}; "
            "timm's models need pip install 'hierclf[timm]'"
        ) from None
    if not timm.is_model(name):
        raise ValueError(
            f"model.backbone must be smallnet, a torchvision ResNet or a timm model, got {name!r}"
        )
    try:
        module = timm.create_model(name, pretrained=published, num_classes=None if published else 0)
    except Exception as error:  # the hub client raises many kinds, all meaning "not fetched"
        raise _no_download(name, error) from None
    cfg = timm.data.resolve_model_data_config(module)
    interpolation: Literal["bilinear", "bicubic"] = (
        "bicubic" if cfg["interpolation"] == "bicubic" else "bilinear"
    )
    # What comes out of the pooled, headless model; num_features may be of an earlier layer.
    n_features = cast(int, module.head_hidden_size)
    head = _pretrained_head(module.state_dict(), n_features) if published else None
    module.reset_classifier(0)  # type: ignore[operator]
    return Backbone(module, n_features, cfg["mean"], cfg["std"], interpolation, head)


def _no_download(name: str, error: Exception) -> ValueError:
    reason = one_line(error)[:200]
    return ValueError(
        f"the weights of {name} could not be downloaded ({reason}); name a file with "
        "model.weights=PATH or start from none with model.weights=none"
    )


def _load_file(backbone: Backbone, path: Path, name: str) -> PretrainedHead | None:
    """Load a state dict into the backbone, heads left out; returns the classifier in it, if any."""
    module = backbone.module
    loaded = {_bare_key(key): tensor for key, tensor in read_state(path).items()}
    expected = module.state_dict()
    # What is called a head may hold a layer of the backbone, too: ConvNeXt's head.norm does.
    found = {k: v for k, v in loaded.items() if k in expected or not k.startswith(_HEAD_PREFIXES)}
    missing = [k for k in expected if k not in found and not k.endswith("num_batches_tracked")]
    unknown = [key for key in found if key not in expected]
    wrong = [
        f"{key} is {tuple(found[key].shape)}, needs {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in found and found[key].shape != tensor.shape
    ]
    complaints = [
        f"{len(keys)} {what} (first: {keys[0]})"
        for what, keys in (("missing", missing), ("unknown", unknown), ("of wrong shape", wrong))
        if keys
    ]
    if complaints:
        raise ValueError(f"{path} must hold the weights of {name}, but: {', '.join(complaints)}")
    module.load_state_dict(found, strict=False)
    return _pretrained_head(loaded, backbone.n_features)


def _pretrained_head(state: Mapping[str, Tensor], n_features: int) -> PretrainedHead | None:
    """The linear classifier of a state dict, under one of the names that libraries give it."""
    for name in _CLASSIFIERS:
        weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        if weight is None or bias is None or weight.ndim != 2 or weight.shape[1] != n_features:
            continue
        if bias.shape == weight.shape[:1] and len(bias) > 1:
            return PretrainedHead(weight.detach().float().numpy(), bias.detach().float().numpy())
    return None


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict from .safetensors, or from .pth without executing any pickled code.

    Raises:
        ValueError: no such file, another ending, or content that is no plain state dict.
    """
    if not path.is_file():
        raise ValueError(f"model.weights must be default, none or a file, but {path} is none")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} must be a valid safetensors file: {error}") from None
    if path.suffix not in (".pth", ".pt"):
        raise ValueError(f"model.weights must end in .safetensors or .pth, but got {path.name}")
    if torch.__version__ < FIRST_SAFE_TORCH:
        raise ValueError(
            f"{path} must be a .safetensors file, since a torch before {FIRST_SAFE_TORCH} can be "
            f"made to run code in others, but it is none and torch is {torch.__version__}"
        )
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch's reader raises many kinds where the bytes make no sense
        # Its words are left out: they advise to load the file in the way that runs code.
        raise ValueError(
            f"{path} must hold tensors only, as a state dict saved by torch does, but "
            f"it is damaged or holds something else ({type(error).__name__})"
        ) from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path} must hold a state dict (names to tensors)")
    return state


def _bare_key(key: str) -> str:
    for prefix in _WRAPPER_PREFIXES:
        key = key.removeprefix(prefix)
    return key
