"""One stage of a run on a large drawn set, in a process of its own, and what it took.

    python -m tests.benchmarks.large_set_stages STAGE ROWS SUBS WIDTH LIMIT_GB

Prints CPU seconds and peak memory above that of the drawn inputs, pages of mapped files included. A
stage that asks for more than LIMIT_GB prints that it does.
"""

import functools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hierclf.config import parse_config
from hierclf.data.near_copies import near_copies
from hierclf.data.sources import open_source
from hierclf.data.stream import ImageStream, map_here
from hierclf.data.stream_open import open_stream
from hierclf.reports import run_plots
from hierclf.rules.choose import choose_rule
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.rule import PAPER_RULE
from hierclf.rules.score_table import ScoreTable
from hierclf.run_report.report import write_report
from hierclf.scores import SCORES, Labels, ScoreInputs
from hierclf.scores.base import Score
from hierclf.training.bursts import find_bursts
from hierclf.training.feature_draft import FeatureDraft
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.prepare import Prepared, plan
from search.pipeline.threshold_search import search_thresholds
from tests.benchmarks import large_set_drawn as drawn
from tests.benchmarks.large_set_drawn import Size
from tests.drawn_runs import save_run
from tests.memory import PEAK_MEMORY

NAMES = ("msp", "max_logit", "energy", "knn")
_BATCH = 4096
_SIDE, _STREAMED = 32, 64  # pixels of streamed images, and images of a batch
_SCORED = 10_000
"""Images that a score of features is computed for, whatever the number that it was fitted on."""

Stage = Callable[[Size, Path], Callable[[], object]]
"""Makes the inputs, and returns what is measured."""
STAGES: dict[str, Stage] = {}


def stage(function: Stage) -> Stage:
    """Register a stage under the function's name."""
    STAGES[function.__name__] = function
    return function


@stage
def listing_parquet(size: Size, folder: Path) -> Callable[[], object]:
    drawn.write_parquet(size, folder / "set.parquet")
    return lambda: open_source(str(folder / "set.parquet"))


@stage
def listing_csv(size: Size, folder: Path) -> Callable[[], object]:
    drawn.write_csv(size, folder)
    return lambda: open_source(str(folder))


@stage
def streaming(size: Size, folder: Path) -> Callable[[], object]:
    """Each image of a Parquet file is looked at, then read as one epoch reads it."""
    drawn.write_parquet(size, folder / "set.parquet", side=_SIDE)

    def look_and_read() -> None:
        source = open_source(str(folder / "set.parquet"))
        images = open_stream(source, size=None, directory=folder, over=map_here).images
        assert isinstance(images, ImageStream)
        order = images.shuffled(np.arange(size.rows), np.random.default_rng(0))
        batches = np.array_split(order, size.rows // _STREAMED)
        assert sum(map(len, images.read(batches))) == size.rows

    return look_and_read


@stage
def folds(size: Size, folder: Path) -> Callable[[], object]:
    cache = drawn.image_cache(size)
    return lambda: plan(cache, parse_config({}))


@stage
def near_copies_of_images(size: Size, folder: Path) -> Callable[[], object]:
    """Pairs of near-copies among hashes of random bits."""
    hashes = np.random.default_rng(4).integers(0, 2**64, (size.rows, 2), dtype=np.uint64)
    return lambda: near_copies(hashes)


@stage
def bursts(size: Size, folder: Path) -> Callable[[], object]:
    """Images of one scene, among the features of each class."""
    bank, labels = drawn.features(size), drawn.sub_labels(size)
    return lambda: find_bursts(bank, labels)


@stage
def features(size: Size, folder: Path) -> Callable[[], object]:
    """Write a bank of features, map it, read it in random batches."""
    bank = drawn.features(size)

    def write_and_read() -> None:
        starts = range(0, size.rows, _BATCH)
        draft = FeatureDraft(folder / "bank.npy", (1, *bank.shape), len(starts), {})
        for number, start in enumerate(starts):
            draft.bank[0, start : start + _BATCH] = bank[start : start + _BATCH]
            draft.keep(number)
        draft.finish()
        mapped = np.load(folder / "bank.npy", mmap_mode="r")
        order = np.random.default_rng(0).permutation(size.rows)
        for start in range(0, size.rows, _BATCH):
            mapped[0, order[start : start + _BATCH]].sum()

    return write_and_read


@stage
def fold(size: Size, folder: Path) -> Callable[[], object]:
    """Outputs of one fold's heads, default scores fitted, and the fold's score table."""
    cache = drawn.image_cache(size)
    config = parse_config({})
    planned = {one.name: one for one in plan(cache, config)}
    run = FoldRun(
        planned["sub0"],
        Prepared(cache, planned, drawn.features(size)[None], None),
        config,
        torch.device("cpu"),
    )
    names = config.thresholds.scores
    return lambda: fold_table(run, names, fit_fold_scores(run, names))


@stage
def scores_of_logits(size: Size, folder: Path) -> Callable[[], object]:
    """msp, max_logit and energy of a sub head."""
    inputs = ScoreInputs(np.empty((size.rows, 0)), np.empty((size.rows, 0)), drawn.logits(size))
    return lambda: [
        SCORES[name].score({}, inputs, "sub") for name in ("msp", "max_logit", "energy")
    ]


def _of_features(name: str, size: Size) -> Callable[[], object]:
    bank, labels = drawn.features(size), drawn.sub_labels(size)
    nothing = np.empty((size.rows, 0), np.float32)
    inputs, own = ScoreInputs(bank, nothing, nothing), Labels(labels % size.supers, labels)
    score: Score = SCORES[name]

    def fit_and_score() -> None:
        state = score.fit(inputs, own, "sub")
        few = inputs._replace(features=np.resize(bank, (_SCORED, size.width)))
        score.score(state, few, "sub")

    return fit_and_score


for _name in ("knn", "mahalanobis", "relative_mahalanobis"):
    STAGES[_name] = functools.partial(lambda name, size, folder: _of_features(name, size), _name)


@stage
def score_table(size: Size, folder: Path) -> Callable[[], object]:
    """A score table to Parquet and back."""
    frame = drawn.table(size)

    def write_and_read() -> ScoreTable:
        frame.to_parquet(folder / "table.parquet", index=False)
        return ScoreTable(pd.read_parquet(folder / "table.parquet"))

    return write_and_read


@stage
def rule(size: Size, folder: Path) -> Callable[[], object]:
    """Fused scores, and the sweep of both thresholds."""
    frame = drawn.table(size)
    return lambda: choose_rule(ScoreTable(frame), NAMES)


@stage
def threshold_search(size: Size, folder: Path) -> Callable[[], object]:
    """The same, and 200 trials."""
    frame = drawn.table(size)
    return lambda: search_thresholds(ScoreTable(frame), NAMES)


@stage
def promise(size: Size, folder: Path) -> Callable[[], object]:
    """Cross-fitted rules, and what to expect of them with intervals."""
    frame, every = drawn.table(size), np.ones(size.rows, dtype=bool)
    return lambda: cross_fitted_promise(ScoreTable(frame), drawn.parts(size), every, NAMES)


@stage
def plots(size: Size, folder: Path) -> Callable[[], object]:
    """The trade-off, the map of both thresholds and the distributions of a run's rule."""
    frame = drawn.table(size)

    def draw() -> None:
        table = ScoreTable(frame)
        run_plots.plot_trade_off(table, PAPER_RULE, folder / "trade_off.png")
        run_plots.plot_tau_map(table, PAPER_RULE, folder / "map.png")
        run_plots.plot_score_histograms(table, PAPER_RULE, folder / "scores.png")

    return draw


@stage
def report(size: Size, folder: Path) -> Callable[[], object]:
    """report.html with its playground, from the folder of a run."""
    classes = drawn.hierarchy(size)
    save_run(folder, n=size.rows, classes=classes, drawn=drawn.table(size), parts=drawn.parts(size))
    return lambda: write_report(folder)


def main() -> None:
    name, rows, subs, width, limit_gb = sys.argv[1], *map(int, sys.argv[2:])
    resource.setrlimit(resource.RLIMIT_DATA, (limit_gb * 10**9,) * 2)
    peak: dict[str, Callable[[], int]] = {}
    exec(PEAK_MEMORY, peak)
    with tempfile.TemporaryDirectory() as folder:
        size = Size(rows, subs, width)
        try:
            measured = STAGES[name](size, Path(folder))
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before, started = peak["peak_memory"](), time.process_time()
            result = measured()
        except (MemoryError, RuntimeError) as error:
            if "memory" not in str(error).lower() + type(error).__name__.lower():
                raise
            print(json.dumps({"failed": f"more than {limit_gb} GB"}))
            return
        seconds = time.process_time() - started
        above = (peak["peak_memory"]() - before) / 1e9
        page = result.stat().st_size / 1e6 if isinstance(result, Path) else None
    print(json.dumps({"seconds": seconds, "gb": above, "page_mb": page}))


if __name__ == "__main__":
    main()
