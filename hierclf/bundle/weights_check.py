"""Checks of a model directory's tensors against the network and the scores that it names."""

from collections.abc import Sequence
from pathlib import Path

import safetensors
import torch

from hierclf.errors import one_line
from hierclf.hierarchy import Hierarchy
from hierclf.nets.two_heads import TwoHeadNet, known_outputs, score_inputs
from hierclf.scores import SCORES, State, score_columns

WEIGHTS, STATES = "model.safetensors", "scores.safetensors"
# safetensors' names of the dtypes of a network's weights and buffers.
_DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}


def check_weights(path: Path, expected: dict[str, torch.Tensor]) -> None:
    """Compare names, dtypes and shapes in a file's header with a network's; reads no tensor.

    Args:
        path: a .safetensors file.
        expected: the network's state, on any device, including `meta`.

    Raises:
        ValueError: a tensor that is missing, unknown or of another dtype or shape.
        safetensors.SafetensorError: an invalid header.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        names = set(file.keys())
        for what, keys in (
            ("lacks", sorted(expected.keys() - names)),
            ("has the unknown", sorted(names - expected.keys())),
        ):
            if keys:
                raise ValueError(f"{path.name} {what} {keys[0]} ({len(keys)} such in all)")
        for name, tensor in expected.items():
            found = file.get_slice(name)
            kind = _DTYPES.get(tensor.dtype)
            if (found.get_dtype(), found.get_shape()) != (kind, list(tensor.shape)):
                raise ValueError(
                    f"{name} in {path.name} must be {kind} {list(tensor.shape)}, "
                    f"but is {found.get_dtype()} {found.get_shape()}"
                )


@torch.inference_mode()
def try_scores(
    net: TwoHeadNet,
    states: State,
    scores: Sequence[str],
    hierarchy: Hierarchy,
    *,
    image_size: int,
) -> None:
    """Run network and scores on a grey image, so that incompatible parts fail at loading.

    Args:
        net: the loaded network.
        states: the loaded states of the scores.
        scores: names of the scores.
        hierarchy: the known classes.
        image_size: side in pixels of the network's input.

    Raises:
        ValueError: states that do not fit the scores, or results that are not finite.
        RuntimeError: an image size that the network does not support.
    """
    outputs = net(torch.full((1, 3, image_size, image_size), 0.5))
    inputs = score_inputs(known_outputs(outputs, hierarchy.n_super, hierarchy.n_sub))
    try:
        score_columns(states, inputs, scores={name: SCORES[name] for name in scores})
    except Exception as error:  # states may have any names and shapes
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ValueError(f"{STATES} must fit the network, but gives {reason}") from None
