"""From images to explanations."""

from collections.abc import Iterable, Iterator

import torch

from hierclf.bundle.directory import Bundle
from hierclf.explanations.background import Background, read_background
from hierclf.explanations.form import Explanation
from hierclf.explanations.levels import explain_batch
from hierclf.explanations.neighbours import find_neighbours
from hierclf.predict import Encoded, output_batches


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
    names: list[str] = []  # names may repeat, numbers do not

    def numbered() -> Iterator[tuple[str, Encoded]]:
        for name, encoded in images:
            names.append(name)
            yield str(len(names) - 1), encoded

    batches = output_batches(bundle, numbered(), batch_size=batch_size, device=device)
    for numbers, inputs, unreadable in batches:
        found = {int(n): _unreadable(names[int(n)], reason) for n, reason in unreadable}
        if inputs is not None:
            own = [names[int(number)] for number in numbers]
            explained = explain_batch(bundle, own, inputs, background)
            neighbours = find_neighbours(bundle, inputs.features, background)
            for number, name, levels, near in zip(numbers, own, explained, neighbours, strict=True):
                found[int(number)] = {
                    "image": name,
                    "error": None,
                    "super": levels["super"],
                    "sub": levels["sub"],
                    "neighbours": near,
                }
        for position in sorted(found):
            yield found[position]


def _unreadable(name: str, reason: str) -> Explanation:
    return {"image": name, "error": reason, "super": None, "sub": None, "neighbours": None}
