"""One process that opens, decodes and reads a set of N images, and says what it took.

python -m tests.benchmarks.scale_worker N FOLDER
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hierclf.data.cache import open_cache
from hierclf.data.sources import open_source
from hierclf.training.batch_reader import batch_reader
from tests.benchmarks.drawn import N_SUB, N_SUPER, jpegs, pixels

_GROUP = 1000


def write_parquet(path: Path, n_images: int) -> None:
    """N JPEG files of 64 px with labels; a thousand different pictures take turns."""
    encoded = jpegs(pixels(_GROUP))
    schema = pa.schema(
        [("image", pa.binary()), ("superclass_index", pa.int64()), ("subclass_index", pa.int64())]
    )
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for start in range(0, n_images, _GROUP):
            sub = np.arange(start, start + _GROUP) % N_SUB
            writer.write_table(pa.table([encoded, sub % N_SUPER, sub], schema=schema))


def main() -> None:
    n_images, folder = int(sys.argv[1]), Path(sys.argv[2])
    write_parquet(folder / "set.parquet", n_images)
    started = time.perf_counter()
    source = open_source(str(folder / "set.parquet"))
    opened = time.perf_counter()
    cache = open_cache(source, size=None, directory=folder / "cache")
    built = time.perf_counter()
    building = _peak()
    assert isinstance(cache.images, np.ndarray)
    read = batch_reader(cache.images, torch.device("cpu"))
    order = np.random.default_rng(0).permutation(n_images)
    for rows in np.array_split(order, max(1, n_images // 64)):
        read(rows)
    ended = time.perf_counter()
    assert len(cache.images) == n_images
    print(
        json.dumps(
            {
                "open": opened - started,
                "build": built - opened,
                "read": ended - built,
                "peak_building": building,
                "peak": _peak(),
            }
        )
    )


def _peak() -> float:
    """Largest resident memory so far, in GB, pages of mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
