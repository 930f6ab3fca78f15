"""Which checkpoint a trial goes on from when files were cut off."""

import json
from pathlib import Path

import pytest
import torch

from hierclf.io.tensors import save_tensors
from search.trials.checkpoints import METRICS, drop_torn_snapshot, latest_whole


def checkpoint(trial: Path, name: str) -> Path:
    folder = trial / f"checkpoint_{name}"
    folder.mkdir()
    save_tensors(folder / "sub0.safetensors", {"net": torch.zeros(1000)})
    (folder / METRICS).write_text(json.dumps({"epoch": 1}))
    return folder


def test_the_newest_checkpoint_is_taken_and_a_trial_without_has_none(tmp_path: Path) -> None:
    assert latest_whole(tmp_path) is None
    assert latest_whole(tmp_path / "not there") is None
    checkpoint(tmp_path, "1")
    newest = checkpoint(tmp_path, "2")
    assert latest_whole(tmp_path) == newest


@pytest.mark.parametrize("file", ["sub0.safetensors", METRICS])
@pytest.mark.parametrize("left", [0, 6, -1])
def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path: Path, file: str, left: int) -> None:
    good = checkpoint(tmp_path, "1")
    path = checkpoint(tmp_path, "2") / file
    path.write_bytes(path.read_bytes()[:left])
    assert latest_whole(tmp_path) == good


def test_only_a_snapshot_that_was_cut_off_is_deleted(tmp_path: Path) -> None:
    drop_torn_snapshot(tmp_path)
    snapshot = tmp_path / "checkpoint_manager_snapshot.json"
    snapshot.write_text('{"a": [1]}')
    drop_torn_snapshot(tmp_path)
    assert snapshot.is_file()
    snapshot.write_text('{"a": [1')
    drop_torn_snapshot(tmp_path)
    assert not snapshot.exists()
