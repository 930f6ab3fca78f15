"""Export a model directory to ONNX and plain arrays; see `hierclf.runtime` for what reads them.

Shape legend: B images of a batch, S known super-classes, C known sub-classes, D features.
"""

import platform
from pathlib import Path

import numpy as np
import onnxscript  # noqa: F401  torch's exporter needs it
import torch
from torch import Tensor, nn

from hierclf.bundle.directory import Bundle
from hierclf.io.atomic import draft_of
from hierclf.nets.side_by_side import are_several
from hierclf.nets.two_heads import Outputs, known_outputs
from hierclf.rules.answers import used_scores
from hierclf.runtime.files import INPUT, NETWORK, OUTPUTS, Parts, write_parts
from hierclf.runtime.predictor import load
from hierclf.version import package_version

LARGEST_DIFFERENCE = 1e-3
"""Of an output, in units of the largest one of its kind."""
_TRIED = 8
_PACKAGES = ("hierclf", "torch", "onnx", "onnxscript", "onnxruntime")


class _FromPixels(nn.Module):
    """uint8 [B, size, size, 3] to features [B, D], and logits of known classes [B, S], [B, C]."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.net = bundle.inference_net
        self.n_super, self.n_sub = bundle.hierarchy.n_super, bundle.hierarchy.n_sub

    def forward(self, images: Tensor) -> Outputs:
        outputs = Outputs(*self.net(images.permute(0, 3, 1, 2).float() / 255))
        return known_outputs(outputs, self.n_super, self.n_sub)


def export_model(bundle: Bundle, folder: Path) -> float:
    """Write an exported model, once its outputs are those of the model.

    Args:
        bundle: a model with thresholds.
        folder: must not exist.

    Returns:
        The largest difference between the outputs of both on random images, in units of the
        largest output of its kind.

    Raises:
        ValueError: no thresholds, a folder that exists, a network that ONNX cannot express, or
            outputs that differ; nothing is written then.
    """
    if bundle.rule is None:
        raise ValueError("the model directory must hold thresholds.json, but has none")
    if are_several(bundle.backbone):
        raise ValueError(
            "a model of several backbones cannot be exported, since each makes its own view of an "
            f"image, but this one is of {bundle.backbone}"
        )
    if folder.exists():
        raise ValueError(f"the folder to write must not exist, but {folder} does")
    used = used_scores(bundle.rule)
    states = {key: array for key, array in bundle.states.items() if _score_of(key) in used}
    parts = Parts(bundle.preprocessing, bundle.hierarchy, states, bundle.rule, bundle.calibration)
    versions = {name: package_version(name) for name in _PACKAGES}
    with draft_of(folder) as draft:
        draft.mkdir()
        _write_network(bundle, draft / NETWORK)
        write_parts(draft, parts, {"python": platform.python_version()} | versions)
        difference = _difference(bundle, draft)
        if not difference <= LARGEST_DIFFERENCE:
            raise ValueError(
                f"the exported network's outputs must be the model's to {LARGEST_DIFFERENCE:g}, "
                f"but differ by {difference:.2g}"
            )
    return difference


def _score_of(key: str) -> str:
    """The score that an array of the states belongs to: `super_NAME.ARRAY`, or `NAME.ARRAY`."""
    return key.partition(".")[0].removeprefix("super_").removeprefix("sub_")


def _write_network(bundle: Bundle, path: Path) -> None:
    size = bundle.preprocessing.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    try:
        torch.onnx.export(
            _FromPixels(bundle).eval(),
            (example,),
            path,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
            opset_version=18,  # what the exporter writes without a conversion, in every version
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except Exception as error:  # the exporter raises nearly anything
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(f"the network must be expressible in ONNX, but {reason}") from error


@torch.inference_mode()
def _difference(bundle: Bundle, folder: Path) -> float:
    size = bundle.preprocessing.image_size
    noise = np.random.default_rng(0).integers(0, 256, (_TRIED, size, size, 3), dtype=np.uint8)
    exported = load(folder).outputs(noise)[:3]
    own = [array.numpy() for array in _FromPixels(bundle)(torch.from_numpy(noise))]
    return max(
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(exported, own, strict=True)
    )
