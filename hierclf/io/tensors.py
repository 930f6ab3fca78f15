"""Nested states of tensors and plain values as one safetensors file, without pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from hierclf.io.atomic import draft_of

_TENSOR = "__tensor__"
_INT_KEYS = "__int_keys__"


def save_tensors(path: Path, state: Any) -> None:
    """Write a nesting of dicts and lists whose leaves are tensors or JSON values.

    Tensors become the file's tensors, the rest JSON in its header. The file appears under its
    name only when it is complete.
    """
    tensors: dict[str, torch.Tensor] = {}

    def take(node: Any) -> Any:
        if isinstance(node, torch.Tensor):
            key = str(len(tensors))
            tensors[key] = node.detach().cpu().contiguous().clone()
            return {_TENSOR: key}
        if isinstance(node, dict):
            # An optimiser's state is keyed by integers, which JSON cannot be.
            integers = any(isinstance(key, int) for key in node)
            taken = {str(key): take(value) for key, value in node.items()}
            return {_INT_KEYS: taken} if integers else taken
        if isinstance(node, (list, tuple)):
            return [take(item) for item in node]
        return node

    skeleton = json.dumps(take(state))
    with draft_of(path, need=sum(tensor.nbytes for tensor in tensors.values())) as draft:
        save_file(tensors, draft, metadata={"state": skeleton})


def load_tensors(path: Path) -> Any:
    """Read what `save_tensors` wrote; tensors land on the CPU."""
    with safe_open(path, framework="pt") as file:

        def give(node: Any) -> Any:
            if isinstance(node, dict):
                if _TENSOR in node:
                    return file.get_tensor(node[_TENSOR])
                if _INT_KEYS in node:
                    return {int(key): give(value) for key, value in node[_INT_KEYS].items()}
                return {key: give(value) for key, value in node.items()}
            if isinstance(node, list):
                return [give(item) for item in node]
            return node

        return give(json.loads((file.metadata() or {})["state"]))
