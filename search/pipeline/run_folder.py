"""The folder of a run, results/runs/NAME: what is in it, and how a finished stage is recognised.

A stage is finished when its file is there; files appear under their names only when complete.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from hierclf.data.cache import ImageCache
from hierclf.io.atomic import draft_of


class RunFolder:
    """Paths below results/runs/NAME, and atomic writes to them."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.config = self.path / "config.yaml"
        self.options = self.path / "options.json"
        self.lock = self.path / ".lock"
        self.data = self.path / "data.parquet"
        self.novel = self.path / "novel.parquet"
        self.without_labels = self.path / "without_labels.parquet"
        self.trials = self.path / "trials.parquet"
        self.history = self.path / "history.parquet"
        self.study = self.path / "study.log"
        self.best = self.path / "best.json"
        self.gain = self.path / "search_gain.json"
        self.deployed = self.path / "deployed.json"
        self.fold_scores = self.path / "fold_scores.parquet"
        self.scores = self.path / "scores.parquet"
        self.thresholds = self.path / "thresholds.json"
        self.model = self.path / "model"
        self.registered = self.path / "registered.json"
        self.summary = self.path / "summary.json"
        self.report = self.path / "report.html"
        self.plots = self.path / "plots"
        self.ray = self.path / "ray"
        self.outbox = self.path / "mlflow-outbox.jsonl"

    def sweep(self) -> None:
        """Delete temporary files of a killed process; call it while no other process writes."""
        for draft in self.path.glob(".*.part"):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of a stage to timings.json, over all attempts."""
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = self.timings()
            seconds[stage] = round(seconds.get(stage, 0.0) + time.monotonic() - started, 1)
            self.write_json(self.path / "timings.json", seconds)

    def timings(self) -> dict[str, float]:
        """Seconds of every stage so far."""
        path = self.path / "timings.json"
        return read_json(path) if path.is_file() else {}

    def write_json(self, path: Path, content: Any) -> None:
        """Write JSON atomically."""
        self.write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, path: Path, text: str) -> None:
        """Write text atomically."""
        with draft_of(path) as draft:
            draft.write_text(text, encoding="utf-8")

    def write_table(self, path: Path, table: pd.DataFrame) -> None:
        """Write a table as Parquet and, beside it, as CSV; the Parquet file comes last."""
        self.write_csv(path.with_suffix(".csv"), table)
        with draft_of(path) as draft:
            table.to_parquet(draft, index=False)

    def write_csv(self, path: Path, table: pd.DataFrame) -> None:
        """Write a table as CSV atomically."""
        with draft_of(path) as draft:
            table.to_csv(draft, index=False)

    def list_images(self, cache: ImageCache) -> None:
        """Write which images are left out and why, and which show the same pixels as another."""
        self.write_csv(self.path / "quarantine.csv", cache.quarantine)
        self.write_csv(self.path / "repeats.csv", cache.repeats)

    def take_model(self, source: Path) -> None:
        """Copy a model directory to its place."""
        with draft_of(self.model) as draft:
            shutil.copytree(source, draft)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
