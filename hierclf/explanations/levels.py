"""Both levels of each image of a batch, explained.

Shape legend: B images of a batch, K known classes of a level.
"""

from collections.abc import Sequence

import numpy as np

from hierclf.bundle.directory import Bundle
from hierclf.explanations.background import Background
from hierclf.explanations.form import KnownClass, LevelExplanation
from hierclf.explanations.remarks import (
    elsewhere_remark,
    implied_remark,
    order_remark,
    probability_remark,
)
from hierclf.explanations.terms import explained_terms
from hierclf.hierarchy import LEVELS, Hierarchy, Level
from hierclf.predict import judged_answers
from hierclf.rules.answers import Judged
from hierclf.scores import ScoreInputs
from hierclf.scores.base import logits_of
from hierclf.scores.softmax import softmax

BEST = 3
"""How many known classes are listed for a level."""


def explain_batch(
    bundle: Bundle, names: Sequence[str], inputs: ScoreInputs, background: Background
) -> list[dict[Level, LevelExplanation]]:
    """Explain the answers for B images.

    Args:
        bundle: a model with thresholds.
        names: of the images.
        inputs: their features and logits.
        background: what to compare with.

    Raises:
        ValueError: a number that is not finite; names the image.
    """
    hierarchy = bundle.hierarchy
    judged, rows = judged_answers(bundle, names, inputs)
    probabilities = {level: _probabilities(bundle, inputs, level) for level in LEVELS}
    explained: list[dict[Level, LevelExplanation]] = []
    for row in range(len(names)):
        levels: dict[Level, LevelExplanation] = {}
        for level in LEVELS:
            found = _level(bundle, level, judged, row, background)
            found["decision"] = rows[f"{level}class"][row]
            found["index"] = int(rows[f"{level}class_index"][row])
            if bundle.calibration is not None:
                found["novel_probability"] = float(rows[f"{level}_novel_prob"][row])
            found["classes"] = _best(hierarchy, level, probabilities[level][row])
            levels[level] = found
        _add_remarks(bundle, levels)
        explained.append(levels)
    return explained


def _probabilities(bundle: Bundle, inputs: ScoreInputs, level: Level) -> np.ndarray:
    """Calibrated probabilities of the known classes, float32 [B, K]."""
    calibration = bundle.calibration
    temperature = 1.0 if calibration is None else calibration[level].temperature
    return softmax(logits_of(inputs, level) / temperature)


def _level(
    bundle: Bundle, level: Level, judged: Judged, row: int, background: Background
) -> LevelExplanation:
    """A level's explanation, but for what it has from the rows of the prediction."""
    assert bundle.rule is not None
    rule, score = bundle.rule[level], float(judged.scores[level][row])
    values = {column: float(column_values[row]) for column, column_values in judged.columns.items()}
    nearest = {"super": judged.decoded.super_pred, "sub": judged.decoded.sub_pred}[level]
    return {
        "decision": "",
        "index": 0,
        "score": score,
        "threshold": float(rule.tau),
        "margin": score - rule.tau,
        "terms": explained_terms(rule, level, values, background.units),
        "novel_probability": None,
        "nearest": _names(bundle.hierarchy, level)[nearest[row]],
        "classes": [],
        "remarks": [],
    }


def _best(hierarchy: Hierarchy, level: Level, probabilities: np.ndarray) -> list[KnownClass]:
    """The most probable classes of one image, from probabilities [K]."""
    names = _names(hierarchy, level)
    ids = {"super": hierarchy.super_ids, "sub": hierarchy.sub_ids}[level]
    return [
        {"name": names[k], "index": int(ids[k]), "probability": float(probabilities[k])}
        for k in np.argsort(-probabilities, kind="stable")[:BEST]
    ]


def _add_remarks(bundle: Bundle, levels: dict[Level, LevelExplanation]) -> None:
    """Add the sentences that the levels of an image need."""
    assert bundle.rule is not None
    hierarchy, sup, sub = bundle.hierarchy, levels["super"], levels["sub"]
    chances = [levels[level]["novel_probability"] for level in LEVELS]
    for level, chance in zip(LEVELS, chances, strict=True):
        rule, score = bundle.rule[level], levels[level]["score"]
        if bundle.calibration is not None and chance is not None:
            curve = bundle.calibration[level].curve
            remark = probability_remark(level, rule, score, chance, curve)
            levels[level]["remarks"] += [remark] if remark else []
    if sup["margin"] > 0.0 >= sub["margin"]:
        sub["remarks"].append(implied_remark(bundle.rule.sub, sub["score"]))
    if chances[0] is not None and chances[1] is not None:
        remark = order_remark(chances[0], chances[1])
        sub["remarks"] += [remark] if remark else []
    best = sub["classes"][0]
    parent = hierarchy.super_names[hierarchy.sub_to_super[hierarchy.sub_names.index(best["name"])]]
    if parent != sup["nearest"]:
        sub["remarks"].append(elsewhere_remark(best, parent, sup["nearest"]))


def _names(hierarchy: Hierarchy, level: Level) -> tuple[str, ...]:
    return {"super": hierarchy.super_names, "sub": hierarchy.sub_names}[level]
