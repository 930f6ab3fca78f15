"""A model directory or an exported model, as the server uses them.

Torch is imported for a model directory only, onnxruntime for an exported model only.

Shape legend: B images of a batch, H x W size of the pixels that a model's batches take.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.data.images import decode
from hierclf.hierarchy import NOVEL_NAME, Hierarchy
from hierclf.io.atomic import read_json_object
from hierclf.rules.answers import COLUMNS
from hierclf.rules.rule import Rule
from hierclf.scores import ScoreInputs
from hierclf.version import package_version

Pixels = NDArray[np.uint8]
_EXPLAINED = ("super", "sub", "neighbours")
_EXPORTED = "export.json"  # hierclf.runtime.files needs onnxruntime


class Asked(NamedTuple):
    """An image in work.

    Attributes:
        pixels: uint8 [H, W, 3], from `Engine.pixels`.
        explain: whether an explanation is wanted.
    """

    pixels: Pixels
    explain: bool = False


class Engine(NamedTuple):
    """A model that is ready to answer.

    Attributes:
        pixels: from an encoded image to uint8 [H, W, 3], the same size for all; ValueError of one
            line for what is no readable image. Several threads may call it.
        outputs: from B such images, uint8 [B, H, W, 3], to features and logits. One thread at a
            time.
        columns: from names and outputs to the columns of `hierclf predict`; ValueError for a number
            that is not finite.
        explain: from names and outputs to an `Explanation` for each image; None where the model has
            none to give.
        hierarchy: the known classes and the novel ids.
        rule: scores and thresholds.
        promised: accuracies to expect of the rule, by name, each with expected, low and high; None
            where nothing says.
        versions: of the packages that run the model.
        written_with: of those that wrote it.
    """

    pixels: Callable[[bytes], Pixels]
    outputs: Callable[[Pixels], ScoreInputs]
    columns: Callable[[Sequence[str], ScoreInputs], Mapping[str, Any]]
    explain: Callable[[Sequence[str], ScoreInputs], Sequence[Mapping[Any, Any]]] | None
    hierarchy: Hierarchy
    rule: Rule
    promised: dict[str, Any] | None
    versions: dict[str, str]
    written_with: dict[str, str]

    def rows(self, asked: Sequence[Asked]) -> list[dict[str, Any]]:
        """Plain JSON values, one row per image: the columns of `hierclf predict` without `image`.

        A number that is not finite is None: the novelty probability of a model without calibration.
        The rows of a batch in which somebody wants it have an `explanation`, too.
        """
        names = [f"image {number}" for number in range(len(asked))]
        inputs = self.outputs(np.stack([pixels for pixels, _ in asked]))
        columns = self.columns(names, inputs)
        plain = [np.asarray(columns[name]).tolist() for name in COLUMNS[1:]]
        rows = [
            {name: _json_value(value) for name, value in zip(COLUMNS[1:], row, strict=True)}
            for row in zip(*plain, strict=True)
        ]
        if self.explain is not None and any(explain for _, explain in asked):
            for row, explanation in zip(rows, self.explain(names, inputs), strict=True):
                row["explanation"] = {key: explanation[key] for key in _EXPLAINED}
        return rows

    def description(self) -> dict[str, Any]:
        """What `GET /model` says."""
        names = self.hierarchy
        subs = list(zip(names.sub_names, names.sub_ids, names.sub_to_super, strict=True))
        classes = [
            {
                "superclass": name,
                "superclass_index": id_,
                "subclasses": [
                    {"subclass": sub, "subclass_index": sub_id}
                    for sub, sub_id, parent in subs
                    if parent == index
                ],
            }
            for index, (name, id_) in enumerate(
                zip(names.super_names, names.super_ids, strict=True)
            )
        ]
        novel = {
            "superclass": NOVEL_NAME,
            "superclass_index": names.novel_super_id,
            "subclass": NOVEL_NAME,
            "subclass_index": names.novel_sub_id,
        }
        return {
            "classes": classes,
            "novel": novel,
            "thresholds": self.rule.to_dict(),
            "promised": self.promised,
            "explains": self.explain is not None,
            "versions": self.versions,
            "written_with": self.written_with,
        }


def open_engine(model: Path, device: str = "auto") -> Engine:
    """Load a model directory, or a folder that `hierclf export` wrote.

    Args:
        model: either of them.
        device: of a model directory: cpu, cuda, cuda:1, ...; "auto" is a GPU where there is one.

    Raises:
        ValueError: neither of them, a damaged one, a model without thresholds, a device that does
            not exist, or a package that is not installed; one line.
    """
    try:
        if (model / _EXPORTED).is_file():
            return _exported(model, device)
        return _trained(model, device)
    except ModuleNotFoundError as error:
        what = f"{model} needs {error.name}: run pip install {error.name}"
        raise ValueError(what) from None


def _trained(model: Path, device: str) -> Engine:
    from hierclf.bundle.directory import load_bundle
    from hierclf.explanations.background import read_background
    from hierclf.explanations.images import explain_outputs
    from hierclf.nets.inference import pick_device
    from hierclf.predict import bundle_answers, fitted_pixels, network_outputs

    bundle, where = load_bundle(model), pick_device(device)
    if bundle.rule is None:
        raise ValueError(f"{model} must hold thresholds.json, but has none")
    bundle.inference_net.to(where)
    background = read_background(bundle)
    for what in background.missing:
        warnings.warn(f"explanations: {what}", stacklevel=2)
    return Engine(
        pixels=lambda data: fitted_pixels(data, bundle.preprocessing),
        outputs=lambda images: network_outputs(bundle, images, where),
        columns=lambda names, inputs: bundle_answers(bundle, names, inputs),
        explain=lambda names, inputs: explain_outputs(bundle, names, inputs, background),
        hierarchy=bundle.hierarchy,
        rule=bundle.rule,
        promised=_promised(model, bundle.rule),
        versions=_versions("hierclf", "torch", "torchvision", "numpy", "pillow"),
        written_with=_written_with(model / "bundle.json"),
    )


def _exported(model: Path, device: str) -> Engine:
    from hierclf.runtime import load
    from hierclf.runtime.view import center_view

    if device not in ("auto", "cpu"):
        raise ValueError(f"--device of an exported model must be cpu, but got {device!r}")
    predictor = load(model)
    parts = predictor.parts
    return Engine(
        pixels=lambda data: center_view(decode(data), parts.preprocessing),
        outputs=predictor.outputs,
        columns=predictor.answers,
        explain=None,
        hierarchy=parts.hierarchy,
        rule=parts.rule,
        promised=None,
        versions=_versions("hierclf", "onnxruntime", "numpy", "pillow"),
        written_with=_written_with(model / _EXPORTED),
    )


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _promised(model: Path, rule: Rule) -> dict[str, Any] | None:
    """What the run's summary.json beside the model promises; other thresholds have no promise."""
    path = model.resolve().parent / "summary.json"
    if not path.is_file():
        return None
    summary = read_json_object(path)
    if summary.get("rule") != rule.to_dict():
        return None
    held_out = summary.get("held_out")
    chosen = held_out.get("chosen") if isinstance(held_out, dict) else None
    return chosen if isinstance(chosen, dict) else None


def _versions(*packages: str) -> dict[str, str]:
    return {package: package_version(package) for package in packages}


def _written_with(description: Path) -> dict[str, str]:
    versions = read_json_object(description).get("versions")
    return versions if isinstance(versions, dict) else {}
