"""What an image costs, from the data to training batches, in small and in large sets."""

import json
import os
import subprocess
import sys
import tempfile

import torch

from tests.benchmarks.frame import Rounds, Skip, figure

_SMALL = 10_000
_DISK = 16_500  # bytes an image: a JPEG file and 64 x 64 x 3 pixels, with room


def _cost(n_images: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        if free < _DISK * n_images:
            raise Skip(f"{n_images} images need {_DISK * n_images / 1e9:.1f} GB in {folder}")
        command = [sys.executable, "-m", "tests.benchmarks.scale_worker", str(n_images), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _us(cost: dict[str, float], n_images: int) -> float:
    return 1e6 * (cost["open"] + cost["build"] + cost["read"]) / n_images


@figure(
    "scale_cost",
    unit="us/image",
    ours="opening, decoding into the cache and reading once in random order, in the large set",
    theirs=f"the same with {_SMALL:,} images",
    aim="ratio 1: flat",
)
def scale_cost(device: torch.device) -> Rounds:
    """HIERCLF_SCALE sets the large size (300000) and HIERCLF_SCALE_ROUNDS how often (1)."""
    large = int(os.environ.get("HIERCLF_SCALE", "300000"))
    ours, theirs = [], []
    for _ in range(int(os.environ.get("HIERCLF_SCALE_ROUNDS", "1"))):
        theirs.append(_us(_cost(_SMALL), _SMALL))
        cost = _cost(large)
        ours.append(_us(cost, large))
    parts = ", ".join(f"{key} {1e6 * cost[key] / large:.0f}" for key in ("open", "build", "read"))
    return Rounds(
        ours,
        theirs,
        f"{large:,} images: {parts} us/image; peak resident memory {cost['peak_building']:.2f} GB "
        f"with building, {cost['peak']:.2f} GB with reading",
    )
