"""Images that have passed the network once, to be judged by any thresholds.

Shape legend: N readable images.
"""

from collections.abc import Sequence
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hierclf.data.images import decode
from hierclf.data.thumbnails import data_uri, thumbnail
from hierclf.explanations.columns import explaining
from hierclf.explanations.form import Explanation
from hierclf.explanations.images import explain_outputs
from hierclf.model import Model
from hierclf.predict import bundle_answers, output_batches
from hierclf.scores import ScoreInputs
from hierclf.serving.limits import Limits

_BATCH = 16


class Seen(NamedTuple):
    """Images as the network saw them.

    Attributes:
        names: of N images.
        pictures: small ones, as addresses that hold them.
        outputs: features and logits of N images; None for N = 0.
        unreadable: name and reason of each image that could not be read.
    """

    names: list[str]
    pictures: list[str]
    outputs: ScoreInputs | None
    unreadable: list[tuple[str, str]]


NOTHING = Seen([], [], None, [])


def see_images(model: Model, files: Sequence[Path], limits: Limits) -> Seen:
    """Read images and let them pass the network.

    Args:
        model: whose network it is.
        files: of images, in any format that `hierclf predict` reads.
        limits: of their number and of their bytes together.

    Raises:
        ValueError: too many images or bytes, or an output that is not finite.
    """
    if len(files) > limits.max_images:
        raise ValueError(f"at most {limits.max_images} images (--max-images), but got {len(files)}")
    size = sum(file.stat().st_size for file in files)
    if size > limits.max_bytes:
        raise ValueError(f"at most {limits.max_bytes} bytes (--max-bytes), but got {size}")
    encoded = [file.read_bytes() for file in files]
    numbered = [(str(number), data) for number, data in enumerate(encoded)]
    found: list[int] = []
    outputs: list[ScoreInputs] = []
    unreadable: list[tuple[str, str]] = []
    for numbers, batch, failed in output_batches(
        model.bundle, numbered, batch_size=_BATCH, device=model.device
    ):
        found += map(int, numbers)
        unreadable += [(files[int(number)].name, reason) for number, reason in failed]
        if batch is not None:
            outputs.append(batch)
    pictures = [data_uri(thumbnail(decode(encoded[number]))) for number in found]
    return Seen([files[number].name for number in found], pictures, _joined(outputs), unreadable)


def _joined(batches: Sequence[ScoreInputs]) -> ScoreInputs | None:
    if not batches:
        return None
    return ScoreInputs(
        np.concatenate([batch.features for batch in batches]),
        np.concatenate([batch.super_logits for batch in batches]),
        np.concatenate([batch.sub_logits for batch in batches]),
    )


class Answer(NamedTuple):
    """A level's answer for an image.

    Attributes:
        name: of the class, or "novel".
        nearest: the known class that it would be, were it not novel.
        probability: of that class among the known ones.
        novel_probability: where half of all images are novel; NaN for a model without calibration.
        margin: score - threshold, > 0 for novel.
        decided_by: what decided; see `hierclf.explanations.columns`.
    """

    name: str
    nearest: str
    probability: float
    novel_probability: float
    margin: float
    decided_by: str

    @property
    def is_novel(self) -> bool:
        """Whether the level, or the one above it, says so."""
        return self.margin > 0.0 or self.name != self.nearest


def judge_images(model: Model, seen: Seen) -> list[tuple[Answer, Answer]]:
    """The answers of both levels for N images, by the model's thresholds; no image is read again.

    Raises:
        ValueError: a number that is not finite.
    """
    if seen.outputs is None:
        return []
    further = explaining(model.bundle, model.background)
    rows = bundle_answers(model.bundle, seen.names, seen.outputs, further)
    levels = []
    for level in ("super", "sub"):
        columns = (
            *(f"{level}class", f"nearest_{level}class", f"{level}_prob"),
            *(f"{level}_novel_prob", f"{level}_margin", f"{level}_decided_by"),
        )
        levels.append(list(starmap(Answer, zip(*(rows[name] for name in columns), strict=True))))
    return list(zip(*levels, strict=True))


def explain_image(model: Model, seen: Seen, number: int) -> Explanation:
    """Why one of N images got its answer.

    Args:
        model: its thresholds decide.
        seen: the images.
        number: 0 to N - 1.
    """
    outputs, row = seen.outputs, slice(number, number + 1)
    assert outputs is not None
    own = ScoreInputs(outputs.features[row], outputs.super_logits[row], outputs.sub_logits[row])
    return explain_outputs(model.bundle, [seen.names[number]], own, model.background)[0]
