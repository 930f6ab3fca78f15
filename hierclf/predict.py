"""Prediction: from images to one row of classes, probabilities and scores per image.

Shape legend: B images of a batch, H x W size of the decoded images.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hierclf.bundle.directory import Bundle
from hierclf.counts import counted
from hierclf.data.images import decode as decode_image
from hierclf.data.images import fit_to
from hierclf.data.preprocessing import Preprocessing
from hierclf.errors import one_line
from hierclf.hierarchy import LEVELS
from hierclf.nets.inference import images_at_a_time, pick_device
from hierclf.nets.preprocessing import center_view
from hierclf.nets.two_heads import Outputs, known_outputs, score_inputs
from hierclf.rules.answers import COLUMNS, Judged, judge, judged_rows
from hierclf.scores import SCORES, ScoreInputs, score_columns

# Encoded bytes, or a function that returns them or decoded pixels, uint8 [H, W, 3]. The function is
# called in another thread, one batch ahead.
Encoded = bytes | Callable[[], bytes | NDArray[np.uint8]]

Further = Callable[[ScoreInputs, Judged], Mapping[str, Any]]
"""Adds columns to a batch's rows, made of the network's outputs and what the rule made of them."""


def predict_images(
    bundle: Bundle,
    images: Iterable[tuple[str, Encoded]],
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
) -> pd.DataFrame:
    """Classify images by a bundle's rule.

    Args:
        bundle: a model with thresholds.
        images: (name, encoded image or a function that reads it), consumed one batch ahead.
        batch_size: images per batch.
        device: by default a GPU where there is one.

    Returns:
        One row per image, in order: image, superclass_index and subclass_index (the data set's ids,
        the novel id for novel), superclass and subclass (names), super_prob and sub_prob (softmax
        probability of the most probable known class, whether or not it was rejected), super_score
        and sub_score (the rule's scores, float32; higher = more novel), and super_novel_prob and
        sub_novel_prob (probability of being novel given the score, where half of the images are
        novel; NaN for a model without calibration).

    Raises:
        ValueError: a bundle without thresholds, an unreadable image, or an output that is not
            finite; names the image.
    """
    batches = predict_batches(bundle, images, batch_size=batch_size, device=device)
    tables = [table for table, _ in batches]
    return pd.concat(tables, ignore_index=True) if tables else _no_rows()


def predict_batches(
    bundle: Bundle,
    images: Iterable[tuple[str, Encoded]],
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
    skip_unreadable: bool = False,
    further: Further | None = None,
) -> Iterator[tuple[pd.DataFrame, list[tuple[str, str]]]]:
    """Like `predict_images`, one table per batch, so that memory does not grow with the images.

    Args:
        bundle: a model with thresholds.
        images: as for `predict_images`.
        batch_size: images per batch.
        device: by default a GPU where there is one.
        skip_unreadable: list unreadable images instead of raising.
        further: gives columns that follow those of `predict_images`.

    Yields:
        The table of a batch, and (name, reason) of each image in it that could not be read.
    """
    if bundle.rule is None:
        raise ValueError("the model directory must hold thresholds.json, but has none")
    for names, inputs, unreadable in output_batches(
        bundle, images, batch_size=batch_size, device=device
    ):
        if unreadable and not skip_unreadable:
            name, reason = unreadable[0]
            raise ValueError(f"{name} must be a readable image: {reason}")
        rows = _no_rows() if inputs is None else bundle_answers(bundle, names, inputs, further)
        yield pd.DataFrame(rows), unreadable


def score_batches(
    bundle: Bundle,
    images: Iterable[tuple[str, Encoded]],
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
) -> Iterator[tuple[pd.DataFrame, list[tuple[str, str]]]]:
    """All fitted scores of images, one table per batch; unreadable images are listed.

    Args:
        bundle: a model, with thresholds or without.
        images: as for `predict_images`.
        batch_size: images per batch.
        device: by default a GPU where there is one.

    Yields:
        The table of a batch, one row per readable image: image, and super_NAME and sub_NAME for
        each fitted score (float32, higher = more novel). Then (name, reason) of each image in the
        batch that could not be read.

    Raises:
        ValueError: features, logits or scores that are not finite.
    """
    scores = {name: SCORES[name] for name in bundle.scores}
    for names, inputs, unreadable in output_batches(
        bundle, images, batch_size=batch_size, device=device
    ):
        columns: dict[str, np.ndarray] = {}
        if inputs is not None:
            columns = dict(score_columns(bundle.states, inputs, scores=scores))
        ordered = [f"{level}_{name}" for name in scores for level in LEVELS]
        empty = np.zeros(0, np.float32)
        rows = {"image": names} | {name: columns.get(name, empty) for name in ordered}
        yield pd.DataFrame(rows), unreadable


OutputBatch = tuple[list[str], ScoreInputs | None, list[tuple[str, str]]]


def output_batches(
    bundle: Bundle,
    images: Iterable[tuple[str, Encoded]],
    *,
    batch_size: int = 64,
    device: torch.device | None = None,
) -> Iterator[OutputBatch]:
    """The network's outputs for images, batch by batch.

    Args:
        bundle: a model, with thresholds or without.
        images: as for `predict_images`.
        batch_size: images per batch.
        device: by default a GPU where there is one.

    Yields:
        The names of a batch's readable images; their features and logits, None where there are
        none; and (name, reason) of each image that could not be read.
    """
    device = _prepared(bundle, batch_size, device)
    for names, pixels, unreadable in _decoded(bundle.preprocessing, images, batch_size):
        outputs = network_outputs(bundle, np.stack(pixels), device) if names else None
        yield names, outputs, unreadable


def _prepared(bundle: Bundle, batch_size: int, device: torch.device | None) -> torch.device:
    """Move the network to its device, a GPU by default where there is one."""
    if batch_size < 1:
        raise ValueError(f"batch_size >= 1 must hold, but got {batch_size}")
    device = device or pick_device("auto")
    bundle.inference_net.to(device)
    return device


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=list(COLUMNS))


_Batch = tuple[list[str], list[NDArray[np.uint8]], list[tuple[str, str]]]


def _decoded(
    preprocessing: Preprocessing, images: Iterable[tuple[str, Encoded]], batch_size: int
) -> Iterator[_Batch]:
    """Decode one batch ahead: names and pixels of each batch, and its unreadable images."""
    stream = iter(images)
    pool = ThreadPoolExecutor(thread_name_prefix="decode")

    def submit() -> list[tuple[str, Future[NDArray[np.uint8]]]]:
        chunk = islice(stream, batch_size)
        return [(name, pool.submit(fitted_pixels, item, preprocessing)) for name, item in chunk]

    try:
        ahead = submit()
        while ahead:
            # The next batch is decoded by the pool while the network works on this one.
            current, ahead = ahead, submit()
            batch: _Batch = ([], [], [])
            for name, future in current:
                try:
                    batch[1].append(future.result())
                    batch[0].append(name)
                except (ValueError, OSError) as error:
                    batch[2].append((name, one_line(error)))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def fitted_pixels(encoded: Encoded, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """One image as uint8 [H, W, 3], resized to the size of the decoded training images.

    Args:
        encoded: the encoded image, or a function that reads it.
        preprocessing: the model's.

    Raises:
        ValueError: this is no image that can be read; one line.
        OSError: a file that cannot be read.
    """
    data = encoded if isinstance(encoded, bytes) else encoded()
    image = data if isinstance(data, np.ndarray) else decode_image(data)
    return fit_to(image, preprocessing.height, preprocessing.width)


def bundle_answers(
    bundle: Bundle, names: Sequence[str], inputs: ScoreInputs, further: Further | None = None
) -> dict[str, Any]:
    """The columns of `predict_images`, in order, each of length B.

    Args:
        bundle: a model with thresholds.
        names: of B images.
        inputs: from `network_outputs`.
        further: gives columns that follow.

    Raises:
        ValueError: a number that is not finite; names the image.
    """
    judged, rows = judged_answers(bundle, names, inputs)
    return rows if further is None else {**rows, **further(inputs, judged)}


def judged_answers(
    bundle: Bundle, names: Sequence[str], inputs: ScoreInputs
) -> tuple[Judged, dict[str, Any]]:
    """Scores and decisions for B images, and the columns of `predict_images` that they give.

    Args:
        bundle: a model with thresholds.
        names: of B images.
        inputs: from `network_outputs`.

    Raises:
        ValueError: a number that is not finite; names the image.
    """
    assert bundle.rule is not None
    hierarchy = bundle.hierarchy
    judged = judge(inputs, hierarchy=hierarchy, states=bundle.states, rule=bundle.rule)
    rows = judged_rows(names, inputs, judged, hierarchy=hierarchy, calibration=bundle.calibration)
    return judged, rows


@torch.inference_mode()
def network_outputs(bundle: Bundle, pixels: NDArray[np.uint8], device: torch.device) -> ScoreInputs:
    """Features and logits of the known classes, float32.

    Args:
        bundle: a model whose `inference_net` is on the device.
        pixels: uint8 [B, H, W, 3], from `fitted_pixels`.
        device: where the network runs.

    Raises:
        ValueError: a batch that does not fit into the device's memory.
    """
    how = bundle.preprocessing
    few = images_at_a_time(how.image_size, device, most=len(pixels))
    parts = []
    try:
        for part in torch.from_numpy(pixels).split(few):
            view = center_view(
                part.to(device),
                size=how.image_size,
                crop_fraction=how.crop_fraction,
                interpolation=how.interpolation,
            )
            parts.append(bundle.inference_net(view))
    except torch.OutOfMemoryError:
        images = counted(len(pixels), "image does not", "images do not")
        raise ValueError(
            f"a batch must fit into the memory of {device}, but {images}; take a smaller batch size"
        ) from None
    outputs = Outputs(*map(torch.cat, zip(*parts, strict=True)))
    outputs = known_outputs(outputs, bundle.hierarchy.n_super, bundle.hierarchy.n_sub)
    return score_inputs(outputs)
