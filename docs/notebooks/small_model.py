"""A small trained model without a search, for the notebooks: noisy patches of colour.

Its steps are those of a search after the hyper-parameters: a network for each fold, one table of
held-out scores, thresholds, a final network.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hierclf.bundle.directory import save_bundle
from hierclf.bundle.rule_file import save_rule
from hierclf.bundle.score_table_file import save_score_table
from hierclf.config import Config
from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy
from hierclf.rules.calibration import calibrate_rule
from hierclf.rules.choose import choose_rule
from hierclf.rules.normalisation import normalise_to_final
from hierclf.rules.score_table import ScoreTable
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.folds import CALIBRATION, REFIT
from hierclf.training.hidden_classes import sub_parts
from hierclf.training.prepare import Prepared, plan
from hierclf.training.trained_bundle import bundle_from_run

SIZE = 16
# Super-class, sub-class and the colour of its patches.
COLOURS = {
    ("red", "brick"): (170, 60, 50),
    ("red", "rose"): (230, 90, 120),
    ("red", "orange"): (235, 120, 30),
    ("green", "moss"): (90, 110, 40),
    ("green", "mint"): (130, 220, 170),
    ("green", "grass"): (60, 170, 50),
    ("blue", "navy"): (30, 40, 110),
    ("blue", "sky"): (120, 180, 235),
    ("blue", "teal"): (20, 130, 140),
}


def patches(colour: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    """Noisy patches of one colour, uint8 [count, SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    shade = rng.normal(scale=18, size=(count, 1, 1, 3))
    noise = rng.normal(scale=25, size=(count, SIZE, SIZE, 3))
    return np.clip(np.array(colour) + shade + noise, 0, 255).astype(np.uint8)


def save_small_model(folder: Path, *, per_class: int = 24) -> None:
    """Train a model on `COLOURS` and write it as a model directory."""
    config = Config.model_validate(
        {
            "model": {"backbone": "smallnet", "weights": "none", "image_size": SIZE},
            "train": {
                "epochs": 5,
                "lr": 5e-3,
                "batch_size": 32,
                "strength": 0.0,
                "precision": "fp32",
            },
            "folds": {"sub": 3},
            "thresholds": {"scores": ("msp", "energy", "knn")},
        }
    )
    data, scores = _data(per_class), config.thresholds.scores
    folds = {fold.name: fold for fold in plan(data, config)}
    prepared = Prepared(data, folds, None, None)
    tables = []
    for name in folds:
        if name != REFIT:
            run = _trained(prepared, config, name)
            tables.append(fold_table(run, scores, fit_fold_scores(run, scores)))
    table = normalise_to_final(ScoreTable.concatenate(tables), scores, *CALIBRATION)
    rule, _ = choose_rule(table, scores)
    final = _trained(prepared, config, REFIT)
    save_bundle(bundle_from_run(final, fit_fold_scores(final, scores)), folder)
    save_rule(folder, rule, calibrate_rule(table, rule))
    save_score_table(folder, table, sub_parts(data.hierarchy, sub_folds=3, seed=config.seed))


def _trained(prepared: Prepared, config: Config, fold: str) -> FoldRun:
    run = FoldRun(prepared.folds[fold], prepared, config, torch.device("cpu"))
    for epoch in range(1, config.train.epochs + 1):
        run.train_epoch(epoch)
    return run


def _data(per_class: int) -> ImageCache:
    supers = list(dict.fromkeys(name for name, _ in COLOURS))
    parents = tuple(supers.index(name) for name, _ in COLOURS)
    n_super, n_sub = len(supers), len(COLOURS)
    labels = np.repeat(np.arange(n_sub), per_class)
    images = [patches(colour, per_class, i) for i, colour in enumerate(COLOURS.values())]
    return ImageCache(
        images=np.concatenate(images),
        names=[f"{i}.png" for i in range(len(labels))],
        super_labels=np.array(parents)[labels],
        sub_labels=labels,
        hierarchy=Hierarchy(
            super_names=tuple(supers),
            sub_names=tuple(name for _, name in COLOURS),
            sub_to_super=parents,
            super_ids=tuple(range(n_super)),
            sub_ids=tuple(range(n_sub)),
            novel_super_id=n_super,
            novel_sub_id=n_sub,
        ),
        fingerprint="colours",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
    )
