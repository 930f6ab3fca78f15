"""A disk that fills up at each kind of write: the last good state stays, and the error says it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from hierclf.data.cache import open_cache
from hierclf.io.tensors import load_tensors, save_tensors
from hierclf.reports.run_plots import plot_score_histograms
from hierclf.rules.rule import PAPER_RULE
from hierclf.rules.score_table import ScoreTable
from search.pipeline.run_folder import RunFolder, read_json
from search.tracking import store
from tests.drawn_tables import draw_table
from tests.faults.disks import fill, small_disk
from tests.faults.running import checkpoints, running
from tests.frozen_features import banks, config_of, open_features, write_weights
from tests.layouts import make_source
from tests.searches import Place, runs_of, tiny, tune


class Kind(NamedTuple):
    """A kind of write: `write(folder, n)` writes the n-th version of the file, `read` tells n."""

    file: str
    write: Callable[[RunFolder, int], None]
    read: Callable[[RunFolder], int]


def tensors(folder: RunFolder, n: int) -> None:
    save_tensors(folder.path / "state.safetensors", {"net": torch.full((100_000,), float(n))})


def model(folder: RunFolder, n: int) -> None:
    source = folder.path.parent.parent / f"model {n}"
    source.mkdir(exist_ok=True)
    (source / "model.safetensors").write_bytes(bytes([n]) * 400_000)
    folder.take_model(source)


def plot(folder: RunFolder, n: int) -> None:
    plot_score_histograms(ScoreTable(draw_table(50, seed=n)), PAPER_RULE, folder.path / "plot.png")


def plot_version(folder: RunFolder) -> int:
    """The version whose pixels the plot has; the same table is drawn as the same file."""
    with tempfile.TemporaryDirectory() as elsewhere:
        for n in (1, 2):
            table = ScoreTable(draw_table(50, seed=n))
            plot_score_histograms(table, PAPER_RULE, Path(elsewhere) / f"{n}.png")
        files = {(Path(elsewhere) / f"{n}.png").read_bytes(): n for n in (1, 2)}
    return files[(folder.path / "plot.png").read_bytes()]


KINDS = {
    "checkpoint": Kind(
        "state.safetensors",
        tensors,
        lambda folder: int(load_tensors(folder.path / "state.safetensors")["net"][-1]),
    ),
    "json": Kind(
        "best.json",
        lambda folder, n: folder.write_json(folder.best, [n] * 100_000),
        lambda folder: read_json(folder.best)[-1],
    ),
    "table": Kind(
        "trials.csv",
        lambda folder, n: folder.write_table(folder.trials, pd.DataFrame({"n": [n] * 100_000})),
        lambda folder: int(pd.read_csv(folder.path / "trials.csv")["n"].iloc[-1]),
    ),
    "model": Kind(
        "model", model, lambda folder: (folder.model / "model.safetensors").read_bytes()[-1]
    ),
    "plot": Kind("plot.png", plot, plot_version),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_to_a_full_disk_leaves_the_last_good_one(disk: Path, kind: str) -> None:
    file, write, read = KINDS[kind]
    folder = RunFolder(disk / "run")
    folder.path.mkdir()
    write(folder, 1)
    before = sorted(path.name for path in folder.path.iterdir())
    ballast = fill(disk)
    with pytest.raises(
        OSError, match=r"no space left on the device: .* needed, 0\.0 MB free"
    ) as error:
        write(folder, 2)
    assert error.value.filename == str(folder.path / file)
    assert read(folder) == 1
    assert sorted(path.name for path in folder.path.iterdir()) == before
    ballast.unlink()
    write(folder, 2)
    assert read(folder) == 2


def test_an_image_cache_that_does_not_fit_is_refused_and_built_once_it_does(disk: Path) -> None:
    source = make_source(per_class=20, shape=(64, 64))
    ballast: list[Path] = []

    def progress(done: int, total: int) -> None:
        if not ballast:
            ballast.append(fill(disk))

    with pytest.raises(ValueError, match=r"the image cache in .* needs .* GB") as error:
        open_cache(source, size=None, directory=disk, progress=progress)
    assert str(disk) in str(error.value)
    ballast[0].unlink()
    built = open_cache(source, size=None, directory=disk)
    assert len(built.images) == len(source.images)


def test_features_have_their_room_before_the_first_is_computed(disk: Path, tmp_path: Path) -> None:
    cache = open_cache(make_source(shape=(20, 20)), size=None, directory=tmp_path)
    config = config_of(write_weights(tmp_path / "w.safetensors"))
    filled: list[Path] = []

    def progress(done: int, total: int) -> None:
        if not filled:
            filled.append(fill(disk))

    bank = open_features(cache, config, disk, progress)
    elsewhere = open_features(cache, config, tmp_path / "elsewhere")
    assert filled
    np.testing.assert_array_equal(bank, elsewhere)
    assert len(banks(disk)) == 1


def test_an_mlflow_store_on_a_full_disk_is_one_line(disk: Path) -> None:
    fill(disk)
    with pytest.raises(ValueError, match=r"mlflow\.db") as error:
        store.open_store(store.default_uri(disk), "x", disk / "mlartifacts")
    assert "\n" not in str(error.value)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_search_on_a_disk_that_fills_up_ends_in_one_line_and_goes_on_later(
    place: Place, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "30m") as disk:
        apart = place._replace(results=disk / "results")
        with running(apart, "full", *tiny(apart, "full", "--trials", "2")) as search:
            search.until(lambda: checkpoints(apart, "full"))
            ballast = fill(disk)
            ended = search.ended()
        assert ended.code not in (0, 1), ended
        assert "o space left on" in ended.err.splitlines()[-1]
        assert "Traceback" not in ended.err
        assert not (apart.run("full") / "best.json").exists()
        ballast.unlink()
        ended = tune("--resume", "full", "--results", apart.results, cache=apart.cache)
        assert ended.code == 0, ended
        trials = pd.read_parquet(apart.run("full") / "trials.parquet")
        assert trials["status"].isin(["finished", "stopped early"]).tolist() == [True, True]
        parent, children = runs_of(apart, "full")
        statuses: list[Any] = [run.info.status for run in (parent, *children)]
        assert set(statuses) == {"FINISHED"}
