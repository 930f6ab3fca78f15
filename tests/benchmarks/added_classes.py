"""A model that learned a class by `hierclf add-class`, beside one that knew it from the start.

    python -m tests.benchmarks.added_classes --config cpu --set data.path=PATH --classes 4

For each seed, one sub-class is added, a tenth of the others stay unknown, and a fifth of the images
of every known one are kept to judge by. Both models see the same images with the same values; they
differ in their folds, in the order of classes and in random numbers. Printed: accuracy at the sub
level on images of the added class, of the other known ones and of unknown ones, each class weighing
the same, and how often both give the same answer.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch

from hierclf.additions.fitted import Fitted, fit_heads
from hierclf.additions.images import Part
from hierclf.additions.opening import with_parts
from hierclf.config import Config, load_config
from hierclf.data.cache import ImageCache, default_cache_dir
from hierclf.hierarchy import LEVELS, NOVEL
from hierclf.nets.two_heads import score_inputs
from hierclf.rules.classes import Classes
from hierclf.rules.decoding import decode
from hierclf.rules.rule import decide
from hierclf.scores import SCORES, score_columns
from hierclf.scores.sums import sum_columns
from hierclf.training.hidden_classes import FIRST_FOLDS
from hierclf.training.prepare import Prepared, configured_hidden, plan, prepare
from hierclf.training.split import draw_val

UNKNOWN, JUDGED = 0.1, 0.2
COLUMNS = ("added right", "others right", "unknown: novel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--classes", type=int, default=4, help="seeds, one added class each")
    options = parser.parse_args()
    config = load_config(options.config, options.overrides)
    prepared = prepare(config, directory=default_cache_dir(), device=torch.device("cpu"))
    assert prepared.features is not None, "the backbone must be frozen"
    rows = []
    for seed in range(options.classes):
        rows.append(compared(prepared, config, seed))
        print(f"seed {seed}: {shown(np.array(rows[-1]))}", flush=True)
    print(f"mean:   {shown(np.mean(rows, axis=0))}")


def shown(row: np.ndarray) -> str:
    pairs = [
        f"{name} {100 * row[i]:.1f} from the start, {100 * row[i + 3]:.1f} added"
        for i, name in enumerate(COLUMNS)
    ]
    return "; ".join([*pairs, f"same answer {100 * row[6]:.1f} %"])


def compared(prepared: Prepared, config: Config, seed: int) -> list[float]:
    """Three accuracies from the start, the same with the class added, and the agreement."""
    cache, rng = prepared.cache, np.random.default_rng([seed, 7])
    parents = np.asarray(cache.hierarchy.sub_to_super)
    order = [c for c in rng.permutation(len(parents)) if (parents == parents[c]).sum() > 3]
    added, *unknown = order[: 1 + round(UNKNOWN * len(parents))]
    known = ~np.isin(cache.sub_labels, unknown)
    judged = draw_val(
        cache.sub_labels, known, fraction=JUDGED, rng=np.random.default_rng(seed),
        groups=cache.groups,
    )  # fmt: skip
    train = np.flatnonzero(known & ~judged)
    whole = subset(prepared, train)
    hidden = configured_hidden(whole.cache.hierarchy, config)
    folds = {fold.name: fold for fold in plan(whole.cache, config, hidden)}
    first = [name for name in FIRST_FOLDS if name in folds]
    from_start = fit_heads(whole._replace(folds=folds), config, hidden.parts, first)
    base = subset(prepared, train[cache.sub_labels[train] != added])
    folds = {fold.name: fold for fold in plan(base.cache, config)}
    part = part_of(prepared, train[cache.sub_labels[train] == added], base.cache)
    together, parts, first = with_parts(
        base._replace(folds=folds), [part], config, default_cache_dir()
    )
    grown = fit_heads(together, config, parts, first)
    asked = np.flatnonzero(judged | ~known)
    truth = np.where(known[asked], cache.sub_labels[asked], NOVEL)
    name = cache.hierarchy.sub_names
    answers = [names_of(model, prepared, asked) for model in (from_start, grown)]
    right = [given == np.array([*name, "novel"])[truth] for given in answers]
    figures = [
        by_class(hits, cache.sub_labels[asked], rows)
        for hits in right
        for rows in (truth == added, (truth != added) & (truth != NOVEL), truth == NOVEL)
    ]
    return [*figures, float((answers[0] == answers[1]).mean())]


def by_class(hits: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> float:
    return float(np.mean([hits[rows & (labels == c)].mean() for c in np.unique(labels[rows])]))


def subset(prepared: Prepared, rows: np.ndarray) -> Prepared:
    """Some images, with a hierarchy of their classes only."""
    cache, h = prepared.cache, prepared.cache.hierarchy
    supers, subs = np.unique(cache.super_labels[rows]), np.unique(cache.sub_labels[rows])
    hierarchy = replace(
        h,
        super_names=tuple(h.super_names[i] for i in supers),
        sub_names=tuple(h.sub_names[i] for i in subs),
        sub_to_super=tuple(np.searchsorted(supers, np.asarray(h.sub_to_super)[subs]).tolist()),
        super_ids=tuple(h.super_ids[i] for i in supers),
        sub_ids=tuple(h.sub_ids[i] for i in subs),
    )
    assert prepared.features is not None
    images = np.broadcast_to(np.zeros(1, np.uint8), (len(rows), *cache.images.shape[1:]))
    return prepared._replace(
        cache=replace(
            cache,
            images=images,
            names=[cache.names[row] for row in rows],
            super_labels=np.searchsorted(supers, cache.super_labels[rows]),
            sub_labels=np.searchsorted(subs, cache.sub_labels[rows]),
            hierarchy=hierarchy,
            groups=None if cache.groups is None else cache.groups[rows],
            digests=None if cache.digests is None else cache.digests[rows],
            is_val=None,
        ),
        features=prepared.features[:, rows],
    )


def part_of(prepared: Prepared, rows: np.ndarray, known: ImageCache) -> Part:
    """Images of one class behind those of a cache."""
    alone, h = subset(prepared, rows), known.hierarchy
    own = alone.cache.hierarchy
    parent = h.super_names.index(own.super_names[0])
    hierarchy = replace(
        h,
        sub_names=(*h.sub_names, *own.sub_names),
        sub_to_super=(*h.sub_to_super, parent),
        sub_ids=(*h.sub_ids, *own.sub_ids),
    )
    cache = replace(
        alone.cache,
        hierarchy=hierarchy,
        super_labels=np.full(len(rows), parent),
        sub_labels=np.full(len(rows), h.n_sub),
    )
    assert alone.features is not None
    return Part(cache, alone.features)


def names_of(fitted: Fitted, prepared: Prepared, rows: np.ndarray) -> np.ndarray:
    """The sub-class that a model answers for images, by name."""
    hierarchy, rule = fitted.run.cache.hierarchy, fitted.rule
    assert prepared.features is not None
    with torch.inference_mode():
        inputs = score_inputs(fitted.run.net.eval()(torch.from_numpy(prepared.features[0][rows])))
    names = fitted.run.config.thresholds.scores
    columns = score_columns(fitted.states, inputs, scores={name: SCORES[name] for name in names})
    scores = {level: sum_columns(columns, level, rule[level].score) for level in LEVELS}
    parents = np.asarray(hierarchy.sub_to_super)
    found = decode(inputs.super_logits, inputs.sub_logits, parents)
    decided = decide(rule, scores, Classes(found.super_pred, found.sub_pred))
    return np.array([*hierarchy.sub_names, "novel"])[decided.sub]


if __name__ == "__main__":
    main()
