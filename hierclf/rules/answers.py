"""From the outputs of a network to the rows of a prediction, in NumPy alone.

Shape legend: B images of a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.hierarchy import LEVELS, Hierarchy, Level
from hierclf.rules.calibration import Calibration
from hierclf.rules.calibrators import novel_probability
from hierclf.rules.classes import Classes
from hierclf.rules.decoding import Decoded, class_probability, decode
from hierclf.rules.rule import Rule, decide
from hierclf.scores import SCORES, ScoreInputs, score_columns
from hierclf.scores.base import Floats
from hierclf.scores.sums import score_terms, sum_columns

NUMBERS = (
    "super_prob",
    "sub_prob",
    "super_score",
    "sub_score",
    "super_novel_prob",
    "sub_novel_prob",
)
COLUMNS = ("image", "superclass_index", "subclass_index", "superclass", "subclass", *NUMBERS)


class Judged(NamedTuple):
    """What a rule makes of the images of a batch.

    Attributes:
        columns: the scores that the rule adds up, float32 [B] each, by LEVEL_NAME.
        scores: what is compared with the thresholds, float64 [B] for each level.
        decoded: the most probable known classes.
        decided: the same with `NOVEL` where the score is above the threshold.
    """

    columns: dict[str, Floats]
    scores: dict[Level, NDArray[np.float64]]
    decoded: Decoded
    decided: Classes


def judge(
    inputs: ScoreInputs,
    *,
    hierarchy: Hierarchy,
    states: Mapping[str, np.ndarray],
    rule: Rule,
) -> Judged:
    """Decide by a rule.

    Args:
        inputs: features and logits of the known classes, float32.
        hierarchy: the known classes.
        states: from `fit_scores`, at least of the rule's scores.
        rule: scores and thresholds.
    """
    columns = _rule_columns(inputs, states, rule)
    scores = _sums(columns, rule)
    decoded = decode(inputs.super_logits, inputs.sub_logits, np.asarray(hierarchy.sub_to_super))
    decided = decide(rule, scores, Classes(decoded.super_pred, decoded.sub_pred))
    return Judged(columns, scores, decoded, decided)


def answer_rows(
    names: Sequence[str],
    inputs: ScoreInputs,
    *,
    hierarchy: Hierarchy,
    states: Mapping[str, np.ndarray],
    rule: Rule,
    calibration: Calibration | None,
) -> dict[str, Any]:
    """Classify images by a rule; the columns of `predict_images`.

    Args:
        names: of B images.
        inputs: features and logits of the known classes, float32.
        hierarchy: the known classes and the novel ids.
        states: from `fit_scores`, at least of the rule's scores.
        rule: scores and thresholds.
        calibration: of probabilities; None leaves them uncalibrated.

    Returns:
        `COLUMNS` in order, each of length B.

    Raises:
        ValueError: a number that is not finite; names the image.
    """
    judged = judge(inputs, hierarchy=hierarchy, states=states, rule=rule)
    return judged_rows(names, inputs, judged, hierarchy=hierarchy, calibration=calibration)


def judged_rows(
    names: Sequence[str],
    inputs: ScoreInputs,
    judged: Judged,
    *,
    hierarchy: Hierarchy,
    calibration: Calibration | None,
) -> dict[str, Any]:
    """What `answer_rows` returns and raises, of images that are judged already.

    Args:
        names: of B images.
        inputs: what they were judged by.
        judged: from `judge`.
        hierarchy: the known classes and the novel ids.
        calibration: of probabilities; None leaves them uncalibrated.
    """
    decided, scores = judged.decided, judged.scores
    super_prob, sub_prob = _probabilities(calibration, inputs, judged.decoded)
    super_ids, sub_ids = hierarchy.decode(*decided)
    values = (
        names,
        super_ids,
        sub_ids,
        [hierarchy.super_name(i) for i in decided.super],
        [hierarchy.sub_name(i) for i in decided.sub],
        super_prob,
        sub_prob,
        *(scores[level].astype(np.float32) for level in LEVELS),
        *(_novel_probability(calibration, level, scores[level]) for level in LEVELS),
    )
    rows: dict[str, Any] = dict(zip(COLUMNS, values, strict=True))
    _check_finite(rows, NUMBERS if calibration else NUMBERS[:4])
    return rows


def used_scores(rule: Rule) -> set[str]:
    """Names of the scores that a rule adds up, at either level."""
    return {name for level in LEVELS for _, _, name in score_terms(rule[level].score, level)}


def rule_scores(
    inputs: ScoreInputs, states: Mapping[str, np.ndarray], rule: Rule
) -> dict[Level, NDArray[np.float64]]:
    """What the rule compares with its thresholds, float64 [B] for each level."""
    return _sums(_rule_columns(inputs, states, rule), rule)


def _rule_columns(
    inputs: ScoreInputs, states: Mapping[str, np.ndarray], rule: Rule
) -> dict[str, Floats]:
    used = {name: SCORES[name] for name in used_scores(rule)}
    return score_columns(states, inputs, scores=used)


def _sums(columns: Mapping[str, Floats], rule: Rule) -> dict[Level, NDArray[np.float64]]:
    return {level: sum_columns(columns, level, rule[level].score) for level in LEVELS}


def _check_finite(rows: Mapping[str, Any], numbers: tuple[str, ...]) -> None:
    """Refuse values that are not finite: a NaN score would silently compare as "not novel"."""
    for name in numbers:
        bad = ~np.isfinite(rows[name])
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"a model must give finite numbers, but got {name}={rows[name][row]} "
                f"for {rows['image'][row]}"
            )


def _probabilities(
    calibration: Calibration | None, inputs: ScoreInputs, decoded: Decoded
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of the most probable known classes, float32 [B] each."""
    if calibration is None:
        return decoded.super_prob, decoded.sub_prob
    super_logits = inputs.super_logits / calibration.super.temperature
    sub_logits = inputs.sub_logits / calibration.sub.temperature
    return (
        class_probability(super_logits, decoded.super_pred),
        class_probability(sub_logits, decoded.sub_pred),
    )


def _novel_probability(
    calibration: Calibration | None, level: Level, score: np.ndarray
) -> np.ndarray:
    if calibration is None:
        return np.full(len(score), np.nan, dtype=np.float32)
    return novel_probability(calibration[level].curve, score)
