"""WebDataset shards for tests: tars of samples, an image and its labels each."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hierclf.data.sources import inspect_source
from tests.layouts import png

CLASSES = [("bird", "owl")] * 2 + [("bird", "hen")] * 2 + [("dog", "pug")] * 2
NAMED = [{"superclass": a, "subclass": b} for a, b in CLASSES]
Sample = Mapping[str, bytes]


def shard(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def samples(path: Path, labels: Sequence[object] = NAMED, ending: str = "json") -> Path:
    """A shard; image i is `png(i)`, and its labels are an object or a text."""
    files = []
    for i, label in enumerate(labels):
        text = label if isinstance(label, str) else json.dumps(label)
        files += [(f"{i:03d}.png", png(i)), (f"{i:03d}.{ending}", text.encode())]
    return shard(path, files)


def problems_of(path: object, **options: Any) -> list[str]:
    source, problems = inspect_source(str(path), **options)
    assert source is None
    return [f"{problem.where}: {problem.what}" for problem in problems if problem.fatal]
