"""How well groups of novel images agree with the classes that they are of.

    python -m tests.benchmarks.novel_groups --data PATH --config cpu

A third of the sub-classes of every super-class is hidden, seed by seed: groups of their images are
found at the distance that the others choose, and compared with their labels. Prints means over
seeds and super-classes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from hierclf.config import load_config
from hierclf.data.cache import default_cache_dir
from hierclf.discovery.groups import ALONE, find_groups, learn_spread
from hierclf.training.prepare import prepare

PER_CLASS = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--config", type=Path, default=Path("cpu"))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    config = load_config(options.config, [f"data.path={options.data}", *options.set])
    prepared = prepare(config, directory=default_cache_dir(), device=torch.device("cpu"))
    assert prepared.features is not None, "the backbone must be frozen"
    features = np.asarray(prepared.features[0], dtype=np.float32)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    subs = prepared.cache.sub_labels
    parents = np.array(prepared.cache.hierarchy.sub_to_super)
    rows = [row for seed in range(options.seeds) for row in _judged(features, subs, parents, seed)]
    known, agreement, images, found, true = np.mean(rows, axis=0)
    print(
        f"hidden sub-classes: adjusted Rand index {agreement:.2f} (said in advance: {known:.2f}), "
        f"{100 * images:.0f} % of the images in groups, {found:.1f} groups of {true:.1f} classes"
    )


def _judged(
    features: np.ndarray, subs: np.ndarray, parents: np.ndarray, seed: int
) -> list[tuple[float, float, float, int, int]]:
    """One row per super-class with two hidden sub-classes or more."""
    rng = np.random.default_rng(seed)
    hidden: list[int] = []
    for parent in np.unique(parents):
        own = rng.permutation(np.flatnonzero(parents == parent))
        if len(own) > 3:
            hidden += own[: max(2, len(own) // 3)].tolist()
    known = ~np.isin(subs, hidden)
    spread = learn_spread(features[known], subs[known], parents, seed=seed)
    judged = []
    for parent in np.unique(parents[hidden]):
        drawn = [
            rng.permutation(np.flatnonzero(subs == sub))[:PER_CLASS]
            for sub in hidden
            if parents[sub] == parent
        ]
        rows = np.concatenate(drawn)
        groups = find_groups(features[rows], spread)
        single = np.where(groups == ALONE, -1 - np.arange(len(rows)), groups)  # each a group
        agreement = adjusted_rand_score(subs[rows], single)
        share = float((groups != ALONE).mean())
        judged.append((spread.agreement or 0.0, agreement, share, groups.max() + 1, len(drawn)))
    return judged


if __name__ == "__main__":
    main()
