"""The benchmark of scores, decodings and goals on held-out classes.

    python -m hierclf.benchmark scores --data PATH --config configs/cpu.yaml

For each seed: plan class-holdout folds, train the network on each with the configuration as it is,
fit every score, and evaluate every rule by cross-fitting, so that no class is used both to choose a
rule and to evaluate it. The paper's rule is the first row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from hierclf.config import Config
from hierclf.data.cache import ImageCache, default_cache_dir
from hierclf.hierarchy import LEVELS, NOVEL
from hierclf.metrics.accuracy import six_accuracies
from hierclf.metrics.hierarchical import (
    balanced_accuracy,
    consistency_rate,
    hierarchical_distance,
    mistake_severity,
)
from hierclf.metrics.ranking import novelty_metrics, oscr
from hierclf.nets.inference import pick_device
from hierclf.progress import progress
from hierclf.rules.choose import choose_rule
from hierclf.rules.classes import Classes
from hierclf.rules.cross_fit import cross_fit
from hierclf.rules.decoding import DECODINGS, Decoding
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.normalisation import DEPLOYED, NORMALISATIONS, normalise_by_fold
from hierclf.rules.rule import PAPER_RULE, apply_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, tables_by_decoding
from hierclf.training.folds import Fold
from hierclf.training.hidden_classes import sub_parts
from hierclf.training.prepare import Prepared, plan, prepare

Tables = dict[Decoding, ScoreTable]
Row = dict[str, Any]

OtherRows = Callable[[Config, dict[str, Fold]], Iterable[Row]]
"""The rows of another system, from a seed's configuration and folds."""

PAPER, FUSED = "paper's rule", "fused score"


def fold_tables(config: Config, prepared: Prepared, title: str) -> Tables:
    """Train every fold of `prepared`.

    Args:
        config: the configuration, used as it is.
        prepared: images and folds.
        title: prefix of the progress line.

    Returns:
        The score table of all folds, by decoding.
    """
    names = config.thresholds.scores
    folds = list(prepared.folds.values())
    tables: dict[Decoding, list[ScoreTable]] = {decoding: [] for decoding in DECODINGS}
    with progress(f"{title}: training folds") as report:
        for i, fold in enumerate(folds):
            run = FoldRun(fold, prepared, config, pick_device("auto"))
            for epoch in range(1, config.train.epochs + 1):
                run.train_epoch(epoch)
            states = fit_fold_scores(run, names)
            found = tables_by_decoding(run, names, states, decodings=DECODINGS)
            for decoding, table in found.items():
                tables[decoding].append(table)
            report(i + 1, len(folds))
    return {decoding: ScoreTable.concatenate(parts) for decoding, parts in tables.items()}


def benchmark_rows(
    tables: Tables, config: Config, cache: ImageCache, goals: dict[str, Goal]
) -> Iterator[Row]:
    """One row per rule on one seed's tables, the paper's rule first.

    Single scores and the fused score are evaluated under every goal; decodings and normalisations
    with the fused score under the balanced goal.

    Args:
        tables: from `fold_tables`.
        config: the configuration of the tables.
        cache: the images of the tables.
        goals: the goals by title; the balanced goal first.

    Yields:
        The row of a rule. If no threshold reaches its goal, the row has only the reason, as `note`.
    """
    names = config.thresholds.scores
    raw, balanced = tables["top-down"], next(iter(goals))
    table = normalise_by_fold(raw, names, DEPLOYED)
    sub_to_super = np.asarray(cache.hierarchy.sub_to_super)
    parts = sub_parts(cache.hierarchy, sub_folds=config.folds.sub, seed=config.seed)
    judge = partial(cross_fitted, parts=parts)
    compared: tuple[Decoding, ...] = ("top-down", "independent")
    for decoding in compared:
        predicted = apply_rule(tables[decoding], PAPER_RULE)
        fixed = {"goal": "fixed", "normalisation": "raw", "decoding": decoding}
        yield rule_row(PAPER, tables[decoding], predicted, sub_to_super, **fixed)
    novel = np.full(len(raw), NOVEL)
    constants = {"always novel": Classes(novel, novel), "never novel": table.predictions}
    for name, predicted in constants.items():
        yield rule_row(name, table, predicted, sub_to_super, goal="fixed", normalisation="raw")
    families: list[tuple[str, Sequence[str]]] = [(name, [name]) for name in names]
    families.append((FUSED, names))
    for goal_name, goal in goals.items():
        for name, scores in families:
            try:
                rows, predicted = judge(table, scores, goal=goal)
            except ValueError as error:
                if goal is BALANCED:
                    raise
                yield {"rule": name, "goal": goal_name, "note": str(error)}
                continue
            quality = score_quality(table, name) if name in names else {}
            yield rule_row(name, rows, predicted, sub_to_super, goal=goal_name) | quality
    for decoding in [d for d in DECODINGS if d != "top-down"]:
        decoded = normalise_by_fold(tables[decoding], names, DEPLOYED)
        rows, predicted = judge(decoded, names, goal=BALANCED)
        yield rule_row(FUSED, rows, predicted, sub_to_super, goal=balanced, decoding=decoding)
    for how in [n for n in NORMALISATIONS if n != DEPLOYED]:
        moved = normalise_by_fold(raw, names, how)
        rows, predicted = judge(moved, names, goal=BALANCED)
        yield rule_row(FUSED, rows, predicted, sub_to_super, goal=balanced, normalisation=how)


def score_quality(table: ScoreTable, name: str) -> dict[str, float | None]:
    """AUROC, AUPR, FPR at 95 % TPR and OSCR of one score at both levels."""
    quality: dict[str, float | None] = {}
    for level in LEVELS:
        rows, values = table[level], table.score(level, name)
        found = novelty_metrics(values, ~rows.known)
        found["oscr"] = oscr(values, rows.right, ~rows.known)
        quality |= {f"{level}_{key}": value for key, value in found.items()}
    return quality


def cross_fitted(
    table: ScoreTable, scores: Sequence[str], *, goal: Goal, parts: np.ndarray
) -> tuple[ScoreTable, Classes]:
    """The rows of a table, and for each a prediction by a rule chosen without the row's class."""
    folds = sorted(set(table.folds))
    choose = partial(choose_rule, goal=goal)
    found = cross_fit(table, parts, scores, folds, choose=choose).predictions
    predicted = Classes(found["pred_super"].to_numpy(), found["pred_sub"].to_numpy())
    return table.take(found.index), predicted


def rule_row(
    name: str,
    table: ScoreTable,
    predicted: Classes,
    sub_to_super: np.ndarray,
    *,
    goal: str,
    decoding: str = "top-down",
    normalisation: str = DEPLOYED,
) -> Row:
    """All metrics of one rule's predictions.

    Args:
        name: the rule's name.
        table: the rows that are evaluated.
        predicted: the rule's predictions for these rows.
        sub_to_super: int [C], the super-class of each sub-class.
        goal: the goal's title.
        decoding: how the table was decoded.
        normalisation: how the table's scores were normalised.
    """
    truth = table.targets
    unseen, found = truth.sub == NOVEL, predicted.sub == NOVEL
    near, far = unseen & (truth.super != NOVEL), unseen & (truth.super == NOVEL)
    return {
        "rule": name,
        "goal": goal,
        "decoding": decoding,
        "normalisation": normalisation,
        **six_accuracies(*truth, *predicted),
        "sub_unseen_near": _mean(found[near]),
        "sub_unseen_far": _mean(found[far]),
        "super_balanced": balanced_accuracy(truth.super, predicted.super),
        "sub_balanced": balanced_accuracy(truth.sub, predicted.sub),
        "consistency": consistency_rate(*predicted, sub_to_super),
        "distance": hierarchical_distance(*truth, *predicted),
        "severity": mistake_severity(*truth, *predicted),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def prepare_with_progress(config: Config) -> Prepared:
    """`prepare` in this machine's cache, with progress on stderr."""
    with progress("images and features") as report:
        return prepare(
            config,
            directory=default_cache_dir(),
            device=pick_device("auto"),
            progress=lambda what, done, total: report(done, total),
        )


def run_benchmark(
    config: Config,
    seeds: Sequence[int],
    goals: dict[str, Goal],
    *,
    others: OtherRows | None = None,
) -> pd.DataFrame:
    """Rows of all seeds, with a column `seed`; images and features are prepared once.

    Args:
        config: the configuration, used as it is except for the seed.
        seeds: the seeds of folds and training.
        goals: the goals by title; the balanced goal first.
        others: rows of another system on the same folds, which follow those of each seed.
    """
    prepared = prepare_with_progress(config)
    rows: list[Row] = []
    for seed in seeds:
        seeded = config.model_copy(update={"seed": seed})
        folds = {f.name: f for f in plan(prepared.cache, seeded) if len(f.held_out)}
        tables = fold_tables(seeded, prepared._replace(folds=folds), f"seed {seed}")
        n_rules = 4 + len(goals) * (len(config.thresholds.scores) + 1)
        n_rules += len(DECODINGS) + len(NORMALISATIONS) - 2
        with progress(f"seed {seed}: evaluating rules") as report:
            for i, row in enumerate(benchmark_rows(tables, seeded, prepared.cache, goals)):
                rows.append(row | {"seed": seed})
                report(i + 1, n_rules)
        if others is not None:
            rows += [row | {"seed": seed} for row in others(seeded, folds)]
    return pd.DataFrame(rows)
