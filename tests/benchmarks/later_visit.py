"""Is validation as hard as a later visit? Accuracy on val images by split, beside later images.

    python -m tests.benchmarks.later_visit --later /val_ --config configs/cpu.yaml \
        --set data.path=GROCERIES

Images whose name matches `--later` were photographed on another visit. A linear classifier on
frozen features learns from the others and is judged on these; then val images are drawn from the
others, at random and in the groups that are found, and judged by a classifier of the rest. Printed:
the mean accuracy over sub-classes and quantiles of the distance to the fifth nearest image. Without
`--later` the two splits alone are compared.
"""

import argparse
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import balanced_accuracy_score

from hierclf.config import load_config
from hierclf.data.cache import default_cache_dir
from hierclf.training.bursts import find_bursts
from hierclf.training.prepare import prepare
from hierclf.training.split import draw_val

SEEDS = 5


def judged(features: np.ndarray, labels: np.ndarray, train: np.ndarray, asked: np.ndarray) -> list:
    """Accuracy of a linear classifier and of the nearest neighbour, then two distance quantiles."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    linear = RidgeClassifier(alpha=100.0).fit(unit[train] * 30, labels[train])
    near = unit[asked] @ unit[train].T
    with warnings.catch_warnings():  # predictions of classes that no image asked about has
        warnings.simplefilter("ignore")
        accuracies = [
            balanced_accuracy_score(labels[asked], predicted)
            for predicted in (linear.predict(unit[asked] * 30), labels[train][near.argmax(axis=1)])
        ]
    return [*accuracies, *np.quantile(1 - np.sort(near, axis=1)[:, -5], [0.5, 0.9])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--later", metavar="PATTERN", help="names of images of the later visit")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    config = load_config(options.config, options.overrides)
    cpu = torch.device("cpu")
    prepared = prepare(config, directory=default_cache_dir(), device=cpu)
    assert prepared.features is not None, "the configuration must freeze the backbone"
    features, labels = np.array(prepared.features[0]), prepared.cache.sub_labels
    names = prepared.cache.names
    later = np.array([bool(options.later and re.search(options.later, name)) for name in names])
    features_now, labels_now = features[~later], labels[~later]
    groups = find_bursts(features_now, labels_now)
    print("split                 linear  nearest  distance 50 %, 90 %")
    for title, together in (("random", None), ("whole groups", groups)):
        found = []
        for seed in range(SEEDS):
            val = draw_val(
                labels_now,
                np.ones(len(labels_now), dtype=bool),
                fraction=config.folds.val_fraction,
                rng=np.random.default_rng(seed),
                groups=together,
            )
            found.append(judged(features_now, labels_now, ~val, val))
        print(f"{title:20}", *(f"{value:8.3f}" for value in np.mean(found, axis=0)))
    if later.any():
        rows = np.flatnonzero(~later), np.flatnonzero(later)
        print(f"{'later visit':20}", *(f"{v:8.3f}" for v in judged(features, labels, *rows)))


if __name__ == "__main__":
    main()
