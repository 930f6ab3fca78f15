"""What reading a set that is never decoded to disk takes, beside a DataLoader that decodes too."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hierclf.data.cache import ImageCache
from hierclf.data.sources import open_source
from hierclf.data.stream import ImageStream
from hierclf.data.stream_open import open_stream
from search.trials.stream import map_on_cluster
from tests.benchmarks.frame import Rounds, figure, in_turn, seconds
from tests.benchmarks.notebook import decode
from tests.benchmarks.scale_worker import write_parquet
from tests.benchmarks.trials import ray_as_in_a_search

_N_IMAGES, _BATCH = 20_000, 64


class _Rows(Dataset[Tensor]):
    """A Parquet file as many users read it: its bytes in memory, decoded by the item."""

    def __init__(self, path: Path) -> None:
        self.images = pq.read_table(path, columns=["image"])["image"]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(np.array(decode(self.images[index].as_py())))


@figure(
    "stream_read",
    unit="images/s",
    ours=f"a shuffled epoch of {_N_IMAGES:,} JPEG files of 64 px from Parquet by Ray Data, 2 tasks",
    theirs="DataLoader with two processes that decode the same bytes, read into memory beforehand",
    aim="none; the price of keeping nothing",
    more_is_better=True,
)
def stream_read(device: torch.device) -> Rounds:
    with tempfile.TemporaryDirectory() as folder, ray_as_in_a_search("0.1"):
        path = Path(folder) / "set.parquet"
        write_parquet(path, _N_IMAGES)
        over = partial(map_on_cluster, at_a_time=2)
        stream = _stream(
            open_stream(open_source(str(path)), size=None, directory=path.parent, over=over)
        )
        loader = DataLoader(_Rows(path), batch_size=_BATCH, shuffle=True, num_workers=2)
        rng = np.random.default_rng(0)

        def ours() -> None:
            order = stream.shuffled(np.arange(_N_IMAGES), rng)
            n_read = sum(
                len(batch) for batch in stream.read(np.array_split(order, _N_IMAGES // _BATCH))
            )
            assert n_read == _N_IMAGES

        def theirs() -> None:
            assert sum(len(batch) for batch in loader) == _N_IMAGES

        return in_turn(lambda: _N_IMAGES / seconds(ours), lambda: _N_IMAGES / seconds(theirs))


def _stream(cache: ImageCache) -> ImageStream:
    assert isinstance(cache.images, ImageStream)
    return cache.images
