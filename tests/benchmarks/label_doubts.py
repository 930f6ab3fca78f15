"""How well planted wrong labels are found.

    python -m tests.benchmarks.label_doubts --data PATH --config cpu
    python -m tests.benchmarks.label_doubts --data demo --config demo

A share of the images gets another sub-class, drawn from all or from those of its super-class,
before anything is trained: a network that is trained as a whole is trained on the wrong labels.
Prints precision and recall of the images in doubt, and precision among as many of the most
doubtful images as wrong labels were planted; means over seeds.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hierclf.config import Config, load_config
from hierclf.data.cache import default_cache_dir
from hierclf.inspection.held_out import held_out_probabilities
from hierclf.inspection.label_doubts import label_doubts
from hierclf.training.fold_run import FoldRun
from hierclf.training.folds import REFIT
from hierclf.training.prepare import Prepared, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--config", type=Path, default=Path("cpu"))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    config = load_config(options.config, [f"data.path={options.data}", *options.set])
    prepared = prepare(config, directory=default_cache_dir(), device=torch.device("cpu"))
    for within in (False, True):
        judged = [
            _judged(prepared, config, options.share, np.random.default_rng(seed), within=within)
            for seed in range(options.seeds)
        ]
        precision, recall, at_k, level = 100 * np.mean(judged, axis=0)
        kind = "another sub-class of the super-class" if within else "any other sub-class"
        print(
            f"{100 * options.share:g} % wrong, {kind}: precision {precision:.0f}, recall "
            f"{recall:.0f}, precision at k {at_k:.0f}; suggested sub-class right {level:.0f} %"
        )


def _judged(
    prepared: Prepared,
    config: Config,
    share: float,
    rng: np.random.Generator,
    *,
    within: bool,
) -> tuple[float, float, float, float]:
    truth = prepared.cache.sub_labels
    parents = np.array(prepared.cache.hierarchy.sub_to_super)
    labels = _planted(truth, parents, share, rng, within=within)
    wrong = labels != truth
    features = _features(prepared, config, labels, parents)
    held_out = held_out_probabilities(features, labels, np.arange(len(labels)), len(parents))
    found = label_doubts(held_out, labels, parents)
    own = held_out.probabilities[np.arange(len(labels)), labels]
    worst = np.argsort(np.where(held_out.judged, own, np.inf), kind="stable")[: wrong.sum()]
    right = found.suggested == truth[found.rows]
    return (
        float(wrong[found.rows].mean()),
        float(wrong[found.rows].sum() / wrong.sum()),
        float(wrong[worst].mean()),
        float(right[wrong[found.rows]].mean()),
    )


def _planted(
    truth: NDArray[np.int64],
    parents: NDArray[np.int64],
    share: float,
    rng: np.random.Generator,
    *,
    within: bool,
) -> NDArray[np.int64]:
    labels = truth.copy()
    for row in rng.permutation(len(truth))[: round(share * len(truth))]:
        siblings = parents == parents[truth[row]] if within else np.ones(len(parents), bool)
        siblings[truth[row]] = False
        if siblings.any():
            labels[row] = rng.choice(np.flatnonzero(siblings))
    return labels


def _features(
    prepared: Prepared, config: Config, labels: NDArray[np.int64], parents: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What a model directory keeps of the images: its own network's features."""
    if prepared.features is not None:
        return np.asarray(prepared.features[0], dtype=np.float32)
    cache = replace(prepared.cache, sub_labels=labels, super_labels=parents[labels])
    run = FoldRun(
        prepared.folds[REFIT], prepared._replace(cache=cache), config, torch.device("cpu")
    )
    for epoch in range(1, config.train.epochs + 1):
        run.train_epoch(epoch)
    return run.outputs(np.arange(len(labels))).features


if __name__ == "__main__":
    main()
