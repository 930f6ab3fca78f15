"""Learning curves of many configurations, recorded once, so that searches can be replayed on them.

    python -m tests.benchmarks.learning_curves demo configs/demo.yaml
    python -m tests.benchmarks.learning_curves frozen configs/cpu.yaml --set data.path=PATH

A line a configuration goes to results/curves-NAME.csv: lr, weight_decay, strength, then the
objective after every epoch, each from a training of full length on the folds of a search. The
configurations are a Sobol sequence over the search's ranges; what is there is not trained again,
so that a recording can be cut off and taken up, or shared among processes (`--part 0/2`).
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc

from hierclf.config import Config, Interval, load_config
from hierclf.data.cache import default_cache_dir
from hierclf.training.fold_run import FoldRun
from hierclf.training.prepare import Prepared, prepare
from search.trials.epochs import run_epochs
from tests.benchmarks.frame import threads

TUNED = ("lr", "weight_decay", "strength")
FOLDS = ("sub0", "super0")


def interval_of(name: str, config: Config) -> Interval:
    """What the search varies a value of `train` within."""
    interval = config.search.space[f"train.{name}"]
    assert isinstance(interval, Interval)
    return interval


def to_values(unit: np.ndarray, config: Config) -> dict[str, float]:
    """A point [3] of the unit cube as hyper-parameters within the search's ranges."""
    values = {}
    for name, u in zip(TUNED, unit, strict=True):
        interval = interval_of(name, config)
        low, high = interval.low, interval.high
        if interval.log:
            values[name] = float(np.exp(np.log(low) + u * (np.log(high) - np.log(low))))
        else:
            values[name] = float(low + u * (high - low))
    return values


def to_unit(values: pd.DataFrame, config: Config) -> np.ndarray:
    """The inverse, for a table with the columns `TUNED`: [rows, 3]."""
    columns = []
    for name in TUNED:
        interval = interval_of(name, config)
        low, high = interval.low, interval.high
        column = values[name].to_numpy(float)
        if interval.log:
            low, high, column = np.log(low), np.log(high), np.log(column)
        columns.append((column - low) / (high - low))
    return np.stack(columns, axis=1)


def curve_of(values: dict[str, float], config: Config, prepared: Prepared) -> list[float]:
    """The objective after every epoch of one training; the worst from a failure on."""
    tuned = config.with_values({f"train.{name}": value for name, value in values.items()})
    device = torch.device("cpu")
    runs = [FoldRun(prepared.folds[name], prepared, tuned, device) for name in FOLDS]
    epochs = config.train.epochs
    found = [metrics["objective"] for metrics in run_epochs(runs, last=epochs)]
    return found + [0.0] * (epochs - len(found))


def record(path: Path, config: Config, *, count: int, part: int, parts: int) -> None:
    prepared = prepare(config, directory=default_cache_dir(), device=torch.device("cpu"))
    points = qmc.Sobol(len(TUNED), seed=0).random(count)
    header = ",".join([*TUNED, *(str(epoch + 1) for epoch in range(config.train.epochs))])
    if not path.is_file():
        path.write_text(header + "\n")
    for point in points[part::parts]:
        values = to_values(point, config)
        words = [f"{values[name]:.6g}" for name in TUNED]
        if any(line.startswith(",".join(words)) for line in path.read_text().splitlines()):
            continue
        words += [f"{value:.5f}" for value in curve_of(values, config, prepared)]
        with path.open("a") as file:
            file.write(",".join(words) + "\n")
        print(*words[:3], words[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.learning_curves")
    parser.add_argument("name")
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--part", default="0/1", metavar="I/N")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    config = load_config(options.config, options.set)
    with threads(1):
        path = Path("results") / f"curves-{options.name}.csv"
        record(path, config, count=options.count, part=part, parts=parts)


if __name__ == "__main__":
    main()
