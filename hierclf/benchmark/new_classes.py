"""Compare what a run promises with what it finds on classes that it has never seen.

In each world (see `worlds`), the folds, fused scores, thresholds and promise are made from the
known part alone, with the configuration as it is. The rule is then evaluated on the new classes and
on the test images of the known classes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hierclf.benchmark.run import fold_tables
from hierclf.benchmark.worlds import draw_world, inner_folds
from hierclf.config import Config
from hierclf.hierarchy import LEVELS
from hierclf.rules.choose import choose_rule
from hierclf.rules.evidence import FAR, KINDS, KNOWN, NEAR, Evidence
from hierclf.rules.figures import Mix, figures_of
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import Array, Bools, ScoreTable
from hierclf.scores.one_thread import one_thread
from hierclf.training.folds import CALIBRATION, REFIT
from hierclf.training.prepare import Prepared

Row = dict[str, Any]
_SHOWN = {
    "super_seen_known": "super seen, known sub-classes",
    "super_seen_near": "super seen, new sub-classes",
    "super_overall": "super overall",
    "super_seen": "super seen",
    "super_unseen": "super unseen",
    "super_harmonic": "super H",
    "sub_overall": "sub overall",
    "sub_seen": "sub seen",
    "sub_unseen": "sub unseen",
    "sub_unseen_near": "sub unseen, near",
    "sub_unseen_far": "sub unseen, far",
    "sub_harmonic": "sub H",
}


def run_worlds(config: Config, prepared: Prepared, seeds: Iterable[int]) -> Iterator[list[Row]]:
    """The rows of each world of a regrouped data set, one row per figure."""
    with one_thread():
        for seed in seeds:
            yield world_rows(config, prepared, seed)


def world_rows(config: Config, prepared: Prepared, seed: int) -> list[Row]:
    """Promised and found figures of one world.

    Args:
        config: the configuration, used as it is.
        prepared: a regrouped cache with its features.
        seed: the world's number.
    """
    cache = prepared.cache
    folds, parts = inner_folds(cache, config, draw_world(cache, seed))
    own = prepared._replace(folds={fold.name: fold for fold in folds})
    table = fold_tables(config, own, f"world {seed}")["top-down"]
    return judged_rows(table, parts, config.thresholds.scores, seed)


def judged_rows(table: ScoreTable, parts: np.ndarray, names: Sequence[str], seed: int) -> list[Row]:
    """The rows of one world from its score table.

    Args:
        table: rows of the inner folds and, as fold `all`, the test images.
        parts: int64 [C], the part of each sub-class.
        names: scores to fuse.
        seed: the world's number.
    """
    outside = table.where(table.folds == REFIT)
    inside = normalise_to_final(table.where(table.folds != REFIT), names, *CALIBRATION)
    rule, _ = choose_rule(inside, names)
    report, mix = np.ones(len(inside), dtype=bool), mix_of(outside)
    promised = cross_fitted_promise(inside, parts, report, names, mix=mix).figures
    found = found_accuracies(outside, rule, mix)
    best = best_harmonics(outside, rule, mix)
    rows: list[Row] = []
    for key in _SHOWN:
        figure, true = promised[key], found[key]
        if figure is None or true is None:
            continue
        row: Row = {"world": seed, "figure": key, **figure._asdict(), "found": true}
        if key in best:
            row["regret"] = best[key] - true
        n_known = len(np.unique(outside.super.labels[outside.super.known]))
        rows.append(row | {"known_groups": n_known})
    return rows


def mix_of(table: ScoreTable) -> Mix:
    """The composition of the test images, for which a promise is made."""
    known, near = table.sub.known, table.super.known & ~table.sub.known
    far = ~table.super.known
    n_known, n_near, n_far = int(known.sum()), int(near.sum()), int(far.sum())
    return Mix(
        near_of_seen=n_near / (n_known + n_near),
        far_of_unseen=n_far / (n_near + n_far),
        super_novel=n_far / len(table),
        sub_novel=(n_near + n_far) / len(table),
        new_super_classes=len(np.unique(table.super.labels[far])),
        new_sub_classes=max(1, len(np.unique(table.sub.labels[near]))),
    )


def found_accuracies(table: ScoreTable, rule: Rule, mix: Mix) -> dict[str, float | None]:
    """The figures of a promise, as a rule attains them on a table.

    As in the promise, all new classes have the same weight, and so have all images of known
    classes.
    """
    novel = [table.score(level, rule[level].score) > rule[level].tau for level in LEVELS]
    return _accuracies(Evidence.of(table), novel[0], novel[0] | novel[1], mix)


def _accuracies(
    evidence: Evidence, super_novel: Bools, sub_novel: Bools, mix: Mix
) -> dict[str, float | None]:
    """The figures of a promise, from which rows (bool [N]) are predicted novel at each level."""
    hits = {
        KNOWN: (evidence.super_right & ~super_novel, evidence.sub_right & ~sub_novel),
        NEAR: (evidence.super_right & ~super_novel, sub_novel),
        FAR: (super_novel, sub_novel),
    }
    means = {kind: [_mean(evidence, kind, hit) for hit in hits[kind]] for kind in KINDS}
    known, near, far = ((means[kind][0], means[kind][1]) for kind in KINDS)
    figures = figures_of(known, near, far, mix)
    # Rounding may make the sum of the weights 1 + 2e-16.
    return {
        key: None if draws is None else min(float(draws[0]), 1.0) for key, draws in figures.items()
    }


def _mean(evidence: Evidence, kind: int, hit: Bools) -> Array | None:
    """The weighted fraction of hits among the rows of a kind, [1]; None without such rows."""
    return np.array([evidence.weight * evidence.rows(kind) @ hit]) if evidence.has(kind) else None


def best_harmonics(table: ScoreTable, rule: Rule, mix: Mix, n: int = 300) -> dict[str, float]:
    """The best harmonic mean over n thresholds on the rule's own score, for each level."""
    evidence = Evidence.of(table)
    kept = np.zeros(len(table), dtype=bool)
    best = {}
    for level in LEVELS:
        score, key = table.score(level, rule[level].score), f"{level}_harmonic"
        novel = [kept | (score > tau) for tau in np.quantile(score, np.linspace(0.0, 1.0, n))]
        values = (_accuracies(evidence, called, called, mix)[key] for called in novel)
        best[key] = max(value for value in values if value is not None)
        kept = score > rule[level].tau  # a novel super-class is a novel sub-class
    return best


def report(rows: pd.DataFrame) -> str:
    """Promised and found figures as Markdown: means over worlds, in per cent."""
    lines = [
        "| figure | promised | found | found - promised | within the 90 % interval | regret |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for key, name in _SHOWN.items():
        figures = rows[rows["figure"] == key]
        if figures.empty:
            continue
        inside = (figures["found"] >= figures["low"]) & (figures["found"] <= figures["high"])
        regret = figures["regret"].mean()
        cells = [
            *(f"{100 * figures[column].mean():.1f}" for column in ("expected", "found")),
            f"{100 * (figures['found'] - figures['expected']).mean():+.1f}",
            f"{100 * inside.mean():.0f}",
            "" if np.isnan(regret) else f"{100 * regret:.1f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
