"""A trial's checkpoints on disk: which one to go on from when the process that wrote them died.

Ray Train copies a checkpoint to its folder, then notes it in a snapshot file that it writes over
the one before. A process that dies, or a full disk, may cut off either.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

METRICS = "metrics.json"


def drop_torn_snapshot(trial: Path) -> None:
    """Delete a trial's snapshot file if it was cut off; Ray Train would refuse the whole trial."""
    snapshot = trial / "checkpoint_manager_snapshot.json"
    try:
        json.loads(snapshot.read_bytes() if snapshot.is_file() else b"null")
    except ValueError:
        snapshot.unlink()


def latest_whole(trial: Path) -> Path | None:
    """The newest checkpoint in a trial's folder that can be read to its end.

    Checkpoints that no snapshot names are the ones to look at: of those that Ray Train deletes, it
    takes the name out of the snapshot first.
    """
    for folder in sorted(trial.glob("checkpoint_*"), reverse=True):
        if _whole(folder):
            return folder
    return None


def _whole(folder: Path) -> bool:
    try:
        json.loads((folder / METRICS).read_text())
        for file in folder.glob("*.safetensors"):
            with safe_open(file, framework="pt"):  # its header says how long the file must be
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return True
