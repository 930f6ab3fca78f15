"""Small damages to valid inputs: blind ones to bytes, and ones that keep a file's form."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator
_ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "msp", "novel", "resnet18", "\x00", "é", [], {}, [[]]),
)


def mutate_bytes(rng: Rng, data: bytes, others: Sequence[bytes]) -> bytes:
    """A few flips, odd integers, cuts, copies and splices."""
    result = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if not result:
            break
        # Half of the damage goes where headers are.
        end = len(result) if rng.random() < 0.5 else min(len(result), 64)
        at = int(rng.integers(0, end))
        span = int(rng.integers(1, 32))
        match int(rng.integers(0, 7)):
            case 0:
                result[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                result[at] = int(rng.integers(0, 256))
            case 2:
                form = rng.choice(["<I", ">I", "<H", ">H"])
                odd = int(rng.choice(_ODD)) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF)
                value = struct.pack(str(form), odd)
                result[at : at + len(value)] = value
            case 3:
                del result[at : at + span]
            case 4:
                result[at:at] = result[at : at + span]
            case 5:
                result = result[: int(rng.integers(0, len(result) + 1))]
            case 6:
                other = others[int(rng.integers(0, len(others)))]
                result[at:] = other[min(at, len(other)) :]
    return bytes(result)


def mutate_json(rng: Rng, data: bytes) -> bytes:
    """Another value, or none, in one or two places of a JSON text."""
    tree = json.loads(data)
    for _ in range(int(rng.integers(1, 3))):
        _mutate_node(rng, tree)
    return json.dumps(tree).encode()


def mutate_safetensors(rng: Rng, data: bytes) -> bytes:
    """Another value in the JSON header; the tensors stay."""
    length = int.from_bytes(data[:8], "little")
    header = mutate_json(rng, data[8 : 8 + length])
    said = len(header) if rng.random() < 0.9 else int(rng.choice(_ODD))
    return struct.pack("<Q", said) + header + data[8 + length :]


def _mutate_node(rng: Rng, tree: Any) -> None:
    """Walk down at random and change what is there."""
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        if not keys:
            return
        key = keys[int(rng.integers(0, len(keys)))]
        child = node[key]
        if isinstance(child, dict | list) and child and rng.random() < 0.8:
            node = child
            continue
        match int(rng.integers(0, 4)):
            case 0:
                del node[key]
            case 1 if isinstance(node, list):
                node.append(child)
            case 2 if isinstance(child, int | float):
                node[key] = child + int(rng.integers(-2, 3))
            case _:
                node[key] = _VALUES[int(rng.integers(0, len(_VALUES)))]
        return
