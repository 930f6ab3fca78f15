"""How well misplaced sub-classes, and sub-classes merged from two, are found.

    python -m tests.benchmarks.hierarchy_doubts --data PATH --config cpu

In each round, two sub-classes are put under another super-class, or two pairs of sub-classes of one
super-class are merged. Prints how many of them are named, and how many others are, beside those
that are named with the data as they are. With --heaps, no data are read: classes of one heap are
drawn, as normal, uniform, heavy-tailed and skewed points, and counted where any of a set is named.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hierclf.config import load_config
from hierclf.data.cache import default_cache_dir
from hierclf.inspection.misplaced import misplaced
from hierclf.inspection.two_in_one import two_in_one
from hierclf.training.prepare import Prepared, prepare

SETS, CLASSES, WIDTH = 20, 40, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data")
    parser.add_argument("--config", type=Path, default=Path("cpu"))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--heaps", action="store_true")
    options = parser.parse_args()
    if options.heaps:
        _false_alarms()
        return
    config = load_config(options.config, [f"data.path={options.data}", *options.set])
    prepared = prepare(config, directory=default_cache_dir(), device=torch.device("cpu"))
    assert prepared.features is not None, "the backbone must be frozen"
    features = np.asarray(prepared.features[0], dtype=np.float32)
    _moved(prepared, features, options.rounds)
    _merged(prepared, features, options.rounds)


def _moved(prepared: Prepared, features: NDArray[np.float32], rounds: int) -> None:
    labels = prepared.cache.sub_labels
    parents = np.array(prepared.cache.hierarchy.sub_to_super)
    usual = {one.sub for one in misplaced(features, labels, parents)}
    siblings = np.bincount(parents)[parents]
    named, right, others = 0, 0, 0
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        # A sub-class that looks like another super-class anyway cannot be told from a moved one.
        able = np.setdiff1d(np.flatnonzero(siblings > 2), list(usual))
        moved = rng.permutation(able)[:2]
        given = parents.copy()
        for sub in moved:
            given[sub] = rng.choice(np.setdiff1d(parents, parents[sub]))
        found = {one.sub: one.nearer for one in misplaced(features, labels, given)}
        named += sum(sub in found for sub in moved)
        right += sum(found.get(sub) == parents[sub] for sub in moved)
        others += len(set(found) - set(moved.tolist()) - usual)
    print(
        f"as it is: {len(usual)} of {len(parents)} named; of {2 * rounds} moved sub-classes, "
        f"{named} named, {right} with their own super-class; others per round: "
        f"{others / rounds:.1f}"
    )


def _merged(prepared: Prepared, features: NDArray[np.float32], rounds: int) -> None:
    labels, cache = prepared.cache.sub_labels, prepared.cache
    parents = np.array(cache.hierarchy.sub_to_super)
    units = np.arange(len(labels))
    usual = {one.label for one in two_in_one(features, labels, units)}
    named, others = 0, 0
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(np.flatnonzero(np.bincount(parents) > 3))[:2]
        pairs = [rng.permutation(np.flatnonzero(parents == parent))[:2] for parent in drawn]
        given = labels.copy()
        for kept, gone in pairs:
            given[labels == gone] = kept
        found = {one.label for one in two_in_one(features, given, units, seed=seed)}
        merged = {int(kept) for kept, _ in pairs}
        named += len(found & merged)
        others += len(found - merged - usual)
    print(
        f"as it is: {len(usual)} of {len(parents)} look like two; of {2 * rounds} merged pairs, "
        f"{named} named; others per round: {others / rounds:.1f}"
    )


def _false_alarms() -> None:
    for per_class in (24, 60):
        for kind in ("normal", "uniform", "heavy tails", "skewed", "rectified"):
            counts = []
            for seed in range(SETS):
                features = _one_heap_each(kind, per_class, np.random.default_rng(seed))
                labels = np.repeat(np.arange(CLASSES), per_class)
                counts.append(len(two_in_one(features, labels, np.arange(len(labels)), seed=seed)))
            wrong = sum(count > 0 for count in counts)
            print(
                f"{kind}, {CLASSES} classes of {per_class}: {wrong} of {SETS} sets with a false "
                f"alarm, {sum(counts)} classes named",
                flush=True,
            )


def _one_heap_each(kind: str, per_class: int, rng: np.random.Generator) -> NDArray[np.float32]:
    shape = (CLASSES * per_class, WIDTH)
    middles = 2 * rng.normal(size=(CLASSES, WIDTH)).repeat(per_class, axis=0)
    noise = {
        "normal": rng.normal(size=shape),
        "uniform": rng.uniform(-2, 2, size=shape),
        "heavy tails": rng.standard_t(3, size=(len(middles), 1)) * rng.normal(size=shape),
        "skewed": rng.exponential(size=shape),
        "rectified": 2 * rng.normal(size=shape),
    }[kind] / np.sqrt(np.arange(1, WIDTH + 1))
    features = middles + noise
    return (np.maximum(features, 0) if kind == "rectified" else features).astype(np.float32)


if __name__ == "__main__":
    main()
