"""Claims about nested states in a safetensors file."""

import json
import pickle
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import nn

from hierclf.io.tensors import load_tensors, save_tensors


def trained_optimizer() -> tuple[nn.Module, torch.optim.AdamW]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1 / 3, betas=(0.8, 0.98))
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
    return net, optimizer


def assert_equal(a: Any, b: Any) -> None:
    """The same but for tuples, which come back as lists."""
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_equal(left, right)
    else:
        assert a == b
        assert type(a) is type(b)


def test_an_adamw_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    _, optimizer = trained_optimizer()
    state = optimizer.state_dict()
    save_tensors(tmp_path / "a.safetensors", state)
    loaded = load_tensors(tmp_path / "a.safetensors")
    assert_equal(state, loaded)
    _, fresh = trained_optimizer()
    fresh.load_state_dict(loaded)
    assert fresh.param_groups[0]["lr"] == 1 / 3
    fresh.step()


def test_every_kind_of_leaf_and_nesting_comes_back(tmp_path: Path) -> None:
    state = {
        "empty": {},
        "list": [1, 2.5, None, True, "ü", [torch.arange(3)]],
        "scalar": torch.tensor(1.5, dtype=torch.float64),
        "none left": torch.zeros(0, 4),
        "half": torch.tensor([float("nan"), float("-inf")], dtype=torch.bfloat16),
        "counts": {3: "three", 0: {"deep": torch.ones(2, dtype=torch.int64)}},
        "tiny": 5e-324,
    }
    save_tensors(tmp_path / "a.safetensors", state)
    assert_equal(state, load_tensors(tmp_path / "a.safetensors"))


def test_tensors_that_share_memory_or_are_strided_are_written_whole(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(2, 3, 2, 2)
    state = {
        "a": base,
        "b": base,
        "slice": base[:, 1],
        "last": base.contiguous(memory_format=torch.channels_last),
    }
    save_tensors(tmp_path / "a.safetensors", state)
    assert_equal(state, load_tensors(tmp_path / "a.safetensors"))


def test_a_state_without_tensors_can_be_kept(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a.safetensors", {"epoch": 3})
    assert load_tensors(tmp_path / "a.safetensors") == {"epoch": 3}


def test_no_pickle_takes_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> NoReturn:
        raise AssertionError("pickle was used")

    _, optimizer = trained_optimizer()
    for name in ("Pickler", "Unpickler", "dump", "dumps", "load", "loads"):
        monkeypatch.setattr(pickle, name, refuse)
    save_tensors(tmp_path / "a.safetensors", optimizer.state_dict())
    load_tensors(tmp_path / "a.safetensors")
    # The format itself, read by hand: a length, then a JSON header.
    data = (tmp_path / "a.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert "param_groups" in header["__metadata__"]["state"]


def test_a_failed_write_leaves_the_earlier_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"epoch": 1})

    def fail(tensors: object, filename: Path, metadata: object) -> None:
        filename.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("hierclf.io.tensors.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_tensors(path, {"epoch": 2})
    assert load_tensors(path) == {"epoch": 1}
