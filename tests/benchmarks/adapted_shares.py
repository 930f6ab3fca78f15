"""The share of novel images that `hierclf adapt` estimates, and what its thresholds are worth.

    python -m tests.benchmarks.adapted_shares --config cpu --set data.path=PATH --worlds 6

In each world (see `hierclf.benchmark.worlds`), a part of the classes is known, and folds, fused
scores and thresholds are made from it alone. For each pair of shares, images are drawn from its
test images. Printed, as means over worlds, in per cent: true and estimated share at both levels,
their mean distance, how often the 90 % interval holds the true share, and how many images are right
(mean of both levels) with the balanced thresholds and with those for the estimated share.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hierclf.benchmark.run import fold_tables, prepare_with_progress
from hierclf.benchmark.worlds import cluster_groups, draw_world, inner_folds, regrouped
from hierclf.commands.adapt import goal_of
from hierclf.config import load_config
from hierclf.hierarchy import LEVELS
from hierclf.rules.choose import choose_rule
from hierclf.rules.evidence import KINDS, Evidence
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.rule import Rule, apply_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.shares import novel_shares
from hierclf.scores.one_thread import one_thread
from hierclf.training.folds import CALIBRATION, REFIT

IMAGES = 400
# Shares of images of new super-classes, and of new sub-classes of known ones.
SHARES = ((0.0, 0.0), (0.0, 0.2), (0.1, 0.1), (0.2, 0.2), (0.4, 0.2), (0.6, 0.2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--groups", type=int, default=12, help="take the place of super-classes")
    parser.add_argument("--worlds", type=int, default=6)
    options = parser.parse_args()
    config = load_config(options.config, options.overrides)
    prepared = prepare_with_progress(config)
    assert prepared.features is not None, "the backbone must be frozen"
    cache = prepared.cache
    groups = cluster_groups(np.asarray(prepared.features[0]), cache.sub_labels, options.groups)
    cache = regrouped(cache, groups)
    rows = []
    with one_thread():
        for seed in range(options.worlds):
            folds, _ = inner_folds(cache, config, draw_world(cache, seed))
            own = prepared._replace(cache=cache, folds={fold.name: fold for fold in folds})
            table = fold_tables(config, own, f"world {seed}")["top-down"]
            rows += judged(table, config.thresholds.scores, seed)
    found = pd.DataFrame(rows).groupby(["far", "near"]).mean()
    print((100 * found).round(1).to_string())
    print((100 * found.mean()).round(1).to_string())


def judged(table: ScoreTable, names: Sequence[str], seed: int) -> list[dict[str, float]]:
    """One row per pair of shares, from the score table of a world."""
    outside = table.where(table.folds == REFIT)
    inside = normalise_to_final(table.where(table.folds != REFIT), names, *CALIBRATION)
    balanced, evidence = choose_rule(inside, names).rule, Evidence.of(inside)
    rng = np.random.default_rng([seed, 9])
    rows = []
    for far, near in SHARES:
        place = drawn(outside, (1.0 - far - near, near, far), rng)
        scores = [
            {level: rows_of.score(level, balanced[level].score) for level in LEVELS}
            for rows_of in (inside, place)
        ]
        shares = novel_shares(evidence, *scores)
        row = {"far": far, "near": near}
        for level, share in zip(LEVELS, (shares.super, shares.sub), strict=True):
            assert share is not None, "worlds have three known groups or more"
            true = float((~place[level].known).mean())
            row[f"{level}_true"], row[f"{level}_share"] = true, share.expected
            row[f"{level}_off"] = abs(share.expected - true)
            row[f"{level}_covered"] = float(round(share.low, 2) <= true <= round(share.high, 2))
        adapted = choose_rule(inside, names, goal=goal_of(shares, len(place))).rule
        row["balanced"], row["adapted"] = accuracy(place, balanced), accuracy(place, adapted)
        rows.append(row)
    return rows


def drawn(table: ScoreTable, shares: Sequence[float], rng: np.random.Generator) -> ScoreTable:
    """`IMAGES` rows of a table, with replacement, of which each kind has its share."""
    evidence = Evidence.of(table)
    counts = rng.multinomial(IMAGES, shares)
    rows = [
        rng.choice(np.flatnonzero(evidence.rows(kind)), count)
        for kind, count in zip(KINDS, counts, strict=True)
    ]
    return table.take(np.concatenate(rows))


def accuracy(place: ScoreTable, rule: Rule) -> float:
    """The mean of both levels."""
    pairs = zip(apply_rule(place, rule), place.targets, strict=True)
    return float(np.mean([(found == true).mean() for found, true in pairs]))


if __name__ == "__main__":
    main()
