"""A worker: it keeps the network on its device and predicts one shard after another."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hierclf.bundle.directory import load_bundle
from hierclf.commands.predict_files import predict_to_file
from hierclf.commands.tally import Tally
from hierclf.data.image_list import ImageFiles
from hierclf.nets.inference import pick_device
from search.prediction.parts import Parts


class PredictionWorker:
    """Predicts shards into parts. Nothing but its network and one shard is in memory.

    Args:
        model: content of the model directory's files.
        read_at: of the images, see `ImageFiles`.
        parts: where the parts go.
        batch_size: images per forward pass.
        n_cores: threads of the network.
        use_gpu: whether the network runs on the process's GPU.
    """

    def __init__(
        self,
        model: Mapping[str, bytes],
        read_at: Callable[[Any], bytes],
        parts: Parts,
        batch_size: int,
        n_cores: int,
        use_gpu: bool,
    ) -> None:
        self._model, self._read_at, self._parts = model, read_at, parts
        self._batch_size, self._n_cores, self._use_gpu = batch_size, n_cores, use_gpu

    def ready(self) -> None:
        """Load the network. Not when the worker is made: what is wrong could not be told then."""
        torch.set_num_threads(self._n_cores)
        with tempfile.TemporaryDirectory(prefix="hierclf-model-") as folder:
            for name, content in self._model.items():
                (Path(folder) / name).write_bytes(content)
            self._bundle = load_bundle(folder)
        self._model = {}
        self._device = pick_device("auto" if self._use_gpu else "cpu")

    def predict(self, part: str, names: Sequence[str], places: Sequence[Any]) -> Tally:
        """Predict a shard and write its part.

        Args:
            part: name of the part.
            names: of its images.
            places: of its images.

        Raises:
            UnreachableError: the images' store does not give one.
            ValueError, OSError: the part cannot be written.
        """
        images = ImageFiles(names, places, self._read_at)
        with tempfile.TemporaryDirectory(prefix="hierclf-part-") as folder:
            rows = Path(folder) / "rows.parquet"
            tally = predict_to_file(
                self._bundle,
                images,
                rows,
                batch_size=self._batch_size,
                device=self._device,
                may_be_empty=True,
            )
            self._parts.write_part(part, rows, tally)
        return tally
