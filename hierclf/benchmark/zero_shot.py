"""Rows of the benchmark for zero-shot classification by CLIP, on the folds of the other rows."""

from collections.abc import Iterator

import numpy as np
import torch

from hierclf.benchmark.run import OtherRows, Row, cross_fitted, rule_row, score_quality
from hierclf.config import Config
from hierclf.data.cache import default_cache_dir
from hierclf.nets.inference import pick_device
from hierclf.progress import stages
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.normalisation import DEPLOYED, normalise_by_fold
from hierclf.rules.score_table import ScoreTable
from hierclf.training.fold_run import FoldRun
from hierclf.training.fold_table import fit_fold_scores, fold_table
from hierclf.training.folds import Fold
from hierclf.training.hidden_classes import sub_parts
from hierclf.zeroshot.fit import SCORES, Clip, Words, open_clip_on
from hierclf.zeroshot.heads import set_prompts

RULE = "zero-shot CLIP"


def zero_shot_on(config: Config, name: str, weights: str, goals: dict[str, Goal]) -> OtherRows:
    """Compute a CLIP model's features and prompts, before any network is trained.

    Args:
        config: of the networks to compare with.
        name, weights: of the CLIP model.
        goals: the goals by title; the balanced goal first.

    Returns:
        The function that gives a seed's rows, one for each goal.
    """
    with stages() as report:
        clip = open_clip_on(
            config,
            name,
            weights,
            Words(),
            directory=default_cache_dir(),
            device=pick_device("auto"),
            progress=report,
        )
    return lambda seeded, folds: zero_shot_rows(clip, seeded, folds, goals)


def zero_shot_rows(
    clip: Clip, config: Config, folds: dict[str, Fold], goals: dict[str, Goal]
) -> Iterator[Row]:
    """A row for each goal; each image is judged by a rule that was chosen without its class.

    Args:
        clip: on the images of the folds.
        config: of the networks to compare with; its seed divides the classes into parts.
        folds: whose val and held-out images are judged, as those of the networks.
        goals: the goals by title; the balanced goal first.
    """
    tables = []
    for fold in folds.values():
        run = FoldRun(fold, clip.prepared, clip.config, torch.device("cpu"))
        set_prompts(run, clip.prompts)
        tables.append(fold_table(run, SCORES, fit_fold_scores(run, SCORES)))
    table = normalise_by_fold(ScoreTable.concatenate(tables), SCORES, DEPLOYED)
    hierarchy = clip.prepared.cache.hierarchy
    parts = sub_parts(hierarchy, sub_folds=config.folds.sub, seed=config.seed)
    quality = score_quality(table, SCORES[0])
    for title, goal in goals.items():
        try:
            rows, predicted = cross_fitted(table, SCORES, goal=goal, parts=parts)
        except ValueError as error:
            if goal is BALANCED:
                raise
            yield {"rule": RULE, "goal": title, "note": str(error)}
            continue
        yield (
            rule_row(RULE, rows, predicted, np.asarray(hierarchy.sub_to_super), goal=title)
            | quality
        )
