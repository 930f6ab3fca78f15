"""Explanations as columns of a table of predictions.

Shape legend: B images of a batch, M terms of a level's score.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hierclf.bundle.directory import Bundle
from hierclf.explanations.background import Background
from hierclf.explanations.neighbours import find_neighbours
from hierclf.explanations.terms import ordered_terms, threshold_pushes
from hierclf.hierarchy import LEVELS, Level
from hierclf.predict import Further
from hierclf.rules.answers import Judged
from hierclf.scores import ScoreInputs
from hierclf.scores.sums import parse_score, score_terms

COLUMNS = (
    *("super_decided_by", "sub_decided_by", "super_margin", "sub_margin"),
    *("nearest_superclass", "nearest_subclass", "nearest_image"),
)
BY_SUPER = "super-class"
"""What decided on a sub-class that is novel only because its super-class is."""


def explaining(bundle: Bundle, background: Background) -> Further:
    """What `predict_batches` calls to add columns that explain its answers.

    - LEVEL_decided_by: the term that pushed the score most towards its side of the threshold (see
      `threshold_pushes`; without a score table, the term that added most), named as in the rule;
      `BY_SUPER` for a sub-class that is novel only because its super-class is;
    - LEVEL_margin, float32: score - threshold, > 0 for novel;
    - nearest_superclass, nearest_subclass: names of the known classes that the answer would be,
      were nothing novel;
    - nearest_image: name of the nearest training image, None without names.

    Args:
        bundle: a model with thresholds.
        background: what to compare with.
    """
    return partial(_columns, bundle, background)


def _columns(
    bundle: Bundle, background: Background, inputs: ScoreInputs, judged: Judged
) -> dict[str, Any]:
    assert bundle.rule is not None
    hierarchy, decoded = bundle.hierarchy, judged.decoded
    margins = {level: judged.scores[level] - bundle.rule[level].tau for level in LEVELS}
    decided = {level: _decided_by(bundle, background, judged, level) for level in LEVELS}
    implied = (margins["super"] > 0.0) & ~(margins["sub"] > 0.0)
    near = find_neighbours(bundle, inputs.features, background, count=1)
    values = (
        decided["super"],
        np.where(implied, BY_SUPER, decided["sub"]),
        margins["super"].astype(np.float32),
        margins["sub"].astype(np.float32),
        [hierarchy.super_names[i] for i in decoded.super_pred],
        [hierarchy.sub_names[i] for i in decoded.sub_pred],
        [own[0]["image"] if own else None for own in near],
    )
    return dict(zip(COLUMNS, values, strict=True))


def _decided_by(
    bundle: Bundle, background: Background, judged: Judged, level: Level
) -> NDArray[np.object_]:
    """Name of the first of each image's terms, [B]."""
    assert bundle.rule is not None
    rule = bundle.rule[level]
    terms = score_terms(rule.score, level)
    values = np.stack([judged.columns[f"{own}_{name}"] for _, own, name in terms], axis=1)
    pushes = threshold_pushes(rule, level, values, background.units)
    added = values * np.array([weight for weight, _, _ in terms])
    order = ordered_terms(added if pushes is None else pushes, pushes is not None)
    names = np.array([name for _, name in parse_score(rule.score)], dtype=object)
    return names[order[:, 0]]
