"""An exported model in memory: images in, rows out.

Shape legend: B images of a batch, S known super-classes, C known sub-classes, D features.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hierclf.data.images import decode
from hierclf.errors import one_line, refused_as
from hierclf.rules.answers import COLUMNS, answer_rows, rule_scores
from hierclf.runtime.files import DESCRIPTION, INPUT, NETWORK, OUTPUTS, Parts, read_parts
from hierclf.runtime.view import center_view
from hierclf.scores import ScoreInputs

Picture = str | os.PathLike[str] | bytes | NDArray[np.uint8]
"""The path of an image file, an encoded image, or decoded pixels, uint8 [H, W, 3] RGB."""
Row = dict[str, Any]


def load(
    folder: str | Path, *, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> "Predictor":
    """Load a folder that `hierclf export` wrote. Nothing in it is unpickled.

    Args:
        folder: the exported model.
        providers: of onnxruntime, in the order of preference.

    Raises:
        ValueError: no exported model, another schema, a damaged file, or parts that do not fit
            together; one line.
    """
    folder = Path(folder)
    with refused_as("an exported model", folder, DESCRIPTION):
        parts = read_parts(folder)
        # From memory, so that what was checked is what runs.
        network = (folder / NETWORK).read_bytes()
        session = onnxruntime.InferenceSession(network, providers=list(providers))
        model = Predictor(parts, session)
        size = parts.preprocessing.image_size
        grey = np.full((1, size, size, 3), 128, np.uint8)
        rule_scores(model.outputs(grey), parts.states, parts.rule)
    return model


@dataclass(frozen=True)
class Predictor:
    """An exported model.

    Attributes:
        parts: classes, rule and all else beside the network.
        session: the network.
    """

    parts: Parts
    session: onnxruntime.InferenceSession

    def predict(self, images: Iterable[Picture], *, batch_size: int = 16) -> list[Row]:
        """Classify images; every answer may be "novel".

        Args:
            images: paths, encoded images or pixels.
            batch_size: images at a time.

        Returns:
            One row per image, in order, with the columns of `hierclf predict`; `image` is a path as
            it was given, or the image's number from 0.

        Raises:
            ValueError: an unreadable image or an output that is not finite; names the image.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size >= 1 must hold, but got {batch_size}")
        rows: list[Row] = []
        named = enumerate(images)
        while batch := list(islice(named, batch_size)):
            rows += self._predict(batch)
        return rows

    def outputs(self, views: NDArray[np.uint8]) -> ScoreInputs:
        """Features [B, D] and logits [B, S], [B, C] of views, uint8 [B, size, size, 3]."""
        features, super_logits, sub_logits = self.session.run(list(OUTPUTS), {INPUT: views})
        return ScoreInputs(features, super_logits, sub_logits)

    def answers(self, names: Sequence[str], inputs: ScoreInputs) -> dict[str, Any]:
        """The columns of `hierclf predict`, in order, each of length B.

        Args:
            names: of B images.
            inputs: from `outputs`.

        Raises:
            ValueError: a number that is not finite; names the image.
        """
        return answer_rows(
            names,
            inputs,
            hierarchy=self.parts.hierarchy,
            states=self.parts.states,
            rule=self.parts.rule,
            calibration=self.parts.calibration,
        )

    def _predict(self, batch: list[tuple[int, Picture]]) -> list[Row]:
        names = [
            os.fspath(image) if isinstance(image, str | os.PathLike) else str(number)
            for number, image in batch
        ]
        views = [self._view(name, image) for name, (_, image) in zip(names, batch, strict=True)]
        columns = self.answers(names, self.outputs(np.stack(views)))
        plain = [np.asarray(values).tolist() for values in columns.values()]
        return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*plain, strict=True)]

    def _view(self, name: str, image: Picture) -> NDArray[np.uint8]:
        try:
            if isinstance(image, np.ndarray):
                if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                    raise ValueError(f"must be uint8 [H, W, 3], got {image.dtype} {image.shape}")
                pixels = image
            else:
                data = image if isinstance(image, bytes) else Path(image).read_bytes()
                pixels = decode(data)
        except (ValueError, OSError) as error:
            raise ValueError(f"{name} must be a readable image: {one_line(error)}") from None
        return center_view(pixels, self.parts.preprocessing)
