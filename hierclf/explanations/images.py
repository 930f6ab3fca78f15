"""From images to explanations.

Shape legend: B images of a batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import torch

from hierclf.bundle.directory import Bundle
from hierclf.explanations.background import Background, read_background
from hierclf.explanations.form import Explanation
from hierclf.explanations.levels import explain_batch
from hierclf.explanations.neighbours import find_neighbours
from hierclf.predict import Encoded, output_batches
from hierclf.scores import ScoreInputs


def explain_images(
    bundle: Bundle,
    images: Iterable[tuple[str, Encoded]],
    *,
    background: Background | None = None,
    batch_size: int = 64,
    device: torch.device | None = None,
) -> Iterator[Explanation]:
    """Explain the answers that `predict_images` gives.

    Args:
        bundle: a model with thresholds.
        images: (name, encoded image or a function that reads it), consumed one batch ahead.
        background: what to compare with; by default it is read from the model directory.
        batch_size: images per batch.
        device: by default a GPU where there is one.

    Returns:
        An explanation per image, in order, also of those that cannot be read; made batch by batch
        as they are asked for.

    Raises:
        ValueError: a bundle without thresholds, or an output that is not finite; names the image.
    """
    if bundle.rule is None:
        raise ValueError("the model directory must hold thresholds.json, but has none")
    compared = read_background(bundle) if background is None else background
    return _explained(bundle, images, compared, batch_size, device)


def _explained(
    bundle: Bundle,
    images: Iterable[tuple[str, Encoded]],
    background: Background,
    batch_size: int,
    device: torch.device | None,
) -> Iterator[Explanation]:
    names: dict[str, str] = {}  # names may repeat, numbers do not
    numbers = map(str, count())

    def numbered() -> Iterator[tuple[str, Encoded]]:
        for number, (name, encoded) in zip(numbers, images, strict=False):
            names[number] = name
            yield number, encoded

    batches = output_batches(bundle, numbered(), batch_size=batch_size, device=device)
    for readable, inputs, unreadable in batches:
        found = {number: _unreadable(names[number], reason) for number, reason in unreadable}
        if inputs is not None:
            own = [names[number] for number in readable]
            explained = explain_outputs(bundle, own, inputs, background)
            found |= dict(zip(readable, explained, strict=True))
        for number in sorted(found, key=int):
            del names[number]
            yield found[number]


def explain_outputs(
    bundle: Bundle, names: Sequence[str], inputs: ScoreInputs, background: Background
) -> list[Explanation]:
    """Explain the answers for B images that have passed the network.

    Args:
        bundle: a model with thresholds.
        names: of the images.
        inputs: their features and logits, from `network_outputs`.
        background: what to compare with.

    Raises:
        ValueError: a number that is not finite; names the image.
    """
    explained = explain_batch(bundle, names, inputs, background)
    neighbours = find_neighbours(bundle, inputs.features, background)
    return [
        {
            "image": name,
            "error": None,
            "super": levels["super"],
            "sub": levels["sub"],
            "neighbours": near,
        }
        for name, levels, near in zip(names, explained, neighbours, strict=True)
    ]


def _unreadable(name: str, reason: str) -> Explanation:
    return {"image": name, "error": reason, "super": None, "sub": None, "neighbours": None}
