"""Which objective of a trial ranks configurations as the deployed rule ranks them on other classes?

    python -m tests.benchmarks.trial_objectives configs/cpu.yaml --set data.path=PATH --count 15

The configuration as it is and a Sobol sequence over the search's ranges are trained on all folds.
Two objectives look at the folds of a search only: that of the trials, and the expected value of the
rule that would be deployed. The truth is what the folds and classes that chose nothing say: the
gain over the configuration as it is, paired by classes. Prints a line for each configuration, then
Spearman's correlation of each objective with the gain, and the gain of what each would take.
"""

import argparse
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc

from hierclf.config import Config, load_config
from hierclf.data.cache import default_cache_dir
from hierclf.rules.choose import choose_rule
from hierclf.rules.comparison import paired_gain
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.score_table import ScoreTable
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.folds import CALIBRATION, REFIT
from hierclf.training.hidden_classes import sub_parts
from hierclf.training.prepare import Prepared, prepare
from search.tuning.objective import epoch_metrics
from tests.benchmarks.frame import threads
from tests.benchmarks.learning_curves import FOLDS, TUNED, to_values

CPU = torch.device("cpu")


class Judged(NamedTuple):
    """One configuration: its two objectives, and the rows and margins that tell the truth."""

    trial: float
    deployed: float
    truth: tuple[ScoreTable, pd.DataFrame]


def trained_table(config: Config, prepared: Prepared) -> ScoreTable:
    """The scores of every fold's network, as the networks gave them."""
    names, tables = config.thresholds.scores, []
    for fold in prepared.folds.values():
        if fold.name == REFIT:
            continue
        run = FoldRun(fold, prepared, config, CPU)
        for epoch in range(1, config.train.epochs + 1):
            run.train_epoch(epoch)
        tables.append(fold_table(run, names, fit_fold_scores(run, names)))
    return ScoreTable.concatenate(tables)


def judge(config: Config, prepared: Prepared) -> Judged:
    raw, names = trained_table(config, prepared), config.thresholds.scores
    table = normalise_to_final(raw, names, *CALIBRATION)
    looked_at = np.isin(table.folds, FOLDS)
    parts = sub_parts(prepared.cache.hierarchy, sub_folds=config.folds.sub, seed=config.seed)
    report = ~looked_at & (parts[table.sub.labels] != 0)
    margins = cross_fitted_promise(table, parts, report, names).fit.predictions
    kept = report[margins.index]
    return Judged(
        epoch_metrics(raw.where(np.isin(raw.folds, FOLDS)))["objective"],
        choose_rule(table.where(looked_at), names).value,
        (table.take(margins.index).where(kept), margins[kept]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--count", type=int, default=15)
    options = parser.parse_args()
    config = load_config(options.config, options.set)
    prepared = prepare(config, directory=default_cache_dir(), device=CPU)
    rows = []
    with threads(1):
        own = judge(config, prepared)
        for point in qmc.Sobol(len(TUNED), seed=1).random(options.count):
            values = {f"train.{name}": x for name, x in to_values(point, config).items()}
            found = judge(config.with_values(values), prepared)
            gain = paired_gain(found.truth, own.truth)
            rows.append((found.trial, found.deployed, 100 * gain.mean))
            print(*(f"{key}={x:.3g}" for key, x in values.items()), *rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["trial", "deployed", "gain"])
    for name in ("trial", "deployed"):
        rank = table[name].corr(table["gain"], method="spearman")
        taken = table["gain"][int(table[name].argmax())]
        print(f"{name}: Spearman {rank:.2f}, takes a gain of {taken:+.2f} points")
    print(f"gains: {table['gain'].min():+.2f} to {table['gain'].max():+.2f} points")


if __name__ == "__main__":
    main()
