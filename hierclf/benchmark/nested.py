"""What an outsider finds: classes that nothing has seen, beside what was expected of them.

    python -m hierclf.benchmark.nested --data PATH --config configs/cpu.yaml

Of each outer fold some sub-classes, and a share of the images of all others, are hidden from
everything. On the rest a model is made as a search makes it: class-holdout folds, reference, the
rule, and a final network that knows every class left. Then its rule is judged on what was hidden.
The configuration is taken as it is. Novel super-classes need three known ones to be hidden from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from hierclf.benchmark.report import mean_and_spread
from hierclf.benchmark.run import (
    PAPER,
    Row,
    base_parser,
    config_of,
    cross_fitted,
    fold_tables,
    prepare_with_progress,
    rule_row,
)
from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.errors import one_line_errors
from hierclf.hierarchy import Hierarchy
from hierclf.io.atomic import draft_of
from hierclf.rules.fusion import best_combination
from hierclf.rules.normalisation import DEPLOYED, normalise_by_fold, normalise_to_fold
from hierclf.rules.rule import PAPER_RULE, apply_rule
from hierclf.training.folds import REFERENCE, REFIT, Fold, plan_folds, sub_parts
from hierclf.training.prepare import Prepared, plan

RAW = "raw thresholds"
_SHOWN = {
    "super_seen": "super seen",
    "super_unseen": "super unseen",
    "sub_seen": "sub seen",
    "sub_unseen_near": "sub unseen, near",
    "sub_unseen_far": "sub unseen, far",
}


def outer_folds(cache: ImageCache, config: Config, *, n: int, seed: int) -> list[Fold]:
    """Folds whose held-out classes and val images are the outsider's: every sub-class once."""
    return plan_folds(
        cache.super_labels,
        cache.sub_labels,
        cache.hierarchy,
        sub_folds=n,
        super_folds=0,
        val_fraction=config.folds.val_fraction,
        seed=seed,
        groups=cache.groups,
        is_val=cache.is_val,
    )


def inner_folds(cache: ImageCache, config: Config, outer: Fold) -> tuple[list[Fold], np.ndarray]:
    """The folds of a search that has only the training images of an outer fold.

    Returns:
        folds: those that hide classes and the reference, with classes and rows of the whole cache;
            last the final network's, whose val and held_out are the outer fold's.
        parts: int64 [C], the part of each sub-class; of those that the outer fold hides, 0.
    """
    rows, supers, subs = outer.train, outer.known_super, outer.known_sub
    hierarchy = _only(cache.hierarchy, supers, subs)
    inside = replace(
        cache,
        super_labels=np.searchsorted(supers, cache.super_labels[rows]),
        sub_labels=np.searchsorted(subs, cache.sub_labels[rows]),
        groups=None if cache.groups is None else cache.groups[rows],
        is_val=None,  # the outer fold took these images to judge with
        hierarchy=hierarchy,
    )
    folds = [
        Fold(
            name=fold.name,
            known_super=supers[fold.known_super],
            known_sub=subs[fold.known_sub],
            train=rows[fold.train],
            val=rows[fold.val],
            held_out=rows[fold.held_out],
        )
        for fold in plan(inside, config)
        if fold.name != REFIT
    ]
    parts = np.zeros(cache.hierarchy.n_sub, dtype=np.int64)
    parts[subs] = sub_parts(hierarchy, sub_folds=config.folds.sub, seed=config.seed)
    return [*folds, replace(outer, name=REFIT)], parts


def _only(hierarchy: Hierarchy, supers: np.ndarray, subs: np.ndarray) -> Hierarchy:
    """The part of a hierarchy that has only the given classes, ascending model indices."""
    parents = np.asarray(hierarchy.sub_to_super)[subs]
    return replace(
        hierarchy,
        super_names=tuple(hierarchy.super_names[i] for i in supers),
        sub_names=tuple(hierarchy.sub_names[i] for i in subs),
        sub_to_super=tuple(np.searchsorted(supers, parents).tolist()),
        super_ids=tuple(hierarchy.super_ids[i] for i in supers),
        sub_ids=tuple(hierarchy.sub_ids[i] for i in subs),
    )


def outsider_rows(config: Config, prepared: Prepared, outer: Fold) -> Iterator[Row]:
    """Two rows a rule, `estimate` and `found`; the paper's, which nobody chose, has no estimate."""
    cache, names = prepared.cache, config.thresholds.scores
    folds, parts = inner_folds(cache, config, outer)
    own = prepared._replace(folds={fold.name: fold for fold in folds})
    table = fold_tables(config, own, f"seed {config.seed}, {outer.name}")["top-down"]
    outside, inside = table.where(table.folds == REFIT), table.where(table.folds != REFIT)
    hiding = inside.where(inside.folds != REFERENCE)
    measured = partial(rule_row, sub_to_super=np.asarray(cache.hierarchy.sub_to_super))
    for name, how in ((f"combination, {DEPLOYED}", DEPLOYED), (f"combination, {RAW}", "raw")):
        rows, answers = cross_fitted(
            normalise_by_fold(hiding, names, how), names, best_combination, parts=parts
        )
        yield measured(name, rows, answers, goal="balanced", normalisation=how) | {
            "kind": "estimate"
        }
        chooses = hiding if how == "raw" else normalise_to_fold(inside, names, REFERENCE)
        rule, _ = best_combination(chooses, names)
        found = apply_rule(outside, rule)
        yield measured(name, outside, found, goal="balanced", normalisation=how) | {"kind": "found"}
    found = apply_rule(outside, PAPER_RULE)
    yield measured(PAPER, outside, found, goal="fixed", normalisation="raw") | {"kind": "found"}


def run_outsider(config: Config, *, n_folds: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Every row of every outer fold of every seed."""
    prepared = prepare_with_progress(config)
    rows: list[Row] = []
    for seed in seeds:
        seeded = config.model_copy(update={"seed": seed})
        for outer in outer_folds(prepared.cache, seeded, n=n_folds, seed=seed):
            found = outsider_rows(seeded, prepared, outer)
            rows += [row | {"seed": seed, "outer": outer.name} for row in found]
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame) -> str:
    """Estimate, found and their difference: mean and standard deviation over the outer folds."""
    by = ["seed", "outer"]
    lines = [
        "| rule | accuracy | estimate | found | found - estimate |",
        "|---|---|---:|---:|---:|",
    ]
    for rule, group in rows.groupby("rule", sort=False):
        found = group[group["kind"] == "found"].set_index(by)
        estimate = group[group["kind"] == "estimate"].set_index(by)
        for key, title in _SHOWN.items():
            columns = estimate[key], found[key], found[key] - estimate[key]
            if found[key].notna().any():
                lines.append(
                    f"| {rule} | {title} | " + " | ".join(map(mean_and_spread, columns)) + " |"
                )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = base_parser("hierclf.benchmark.nested", __doc__, seeds=1)
    parser.add_argument("--folds", type=int, default=5, help="outer folds a seed (default: 5)")
    options = parser.parse_args(arguments)
    with one_line_errors("hierclf.benchmark.nested", debug=options.debug):
        if options.folds < 2:
            raise ValueError(f"--folds >= 2 must hold, but got {options.folds}")
        config = config_of(options)
        rows = run_outsider(config, n_folds=options.folds, seeds=range(options.seeds))
        options.out.mkdir(parents=True, exist_ok=True)
        paths = [options.out / f"outsider.{ending}" for ending in ("csv", "md")]
        with draft_of(paths[0]) as draft:
            rows.to_csv(draft, index=False)
        with draft_of(paths[1]) as draft:
            draft.write_text(markdown(rows), encoding="utf-8")
        print(markdown(rows))
        print("wrote " + ", ".join(map(str, paths)))


if __name__ == "__main__":
    main()
