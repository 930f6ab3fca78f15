"""The terms of a score: what each adds, and how far it pushes the score across the threshold.

Shape legend: M terms.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from hierclf.explanations.form import Term
from hierclf.hierarchy import Level
from hierclf.rules.expected import Units
from hierclf.rules.rule import LevelRule
from hierclf.scores.sums import parse_score, score_terms


def explained_terms(
    rule: LevelRule, level: Level, values: Mapping[str, float], units: Mapping[str, Units]
) -> list[Term]:
    """The terms of one image's score at a level.

    Args:
        rule: of the level.
        level: the level.
        values: the image's scores, by LEVEL_NAME.
        units: see `Background`; without them there are no pushes.

    Returns:
        The M terms, in the order that `LevelExplanation` gives.
    """
    columns = _columns(rule, level)
    own = [values[column] for column in columns]
    weights = [weight for weight, _ in parse_score(rule.score)]
    added = [weight * value for weight, value in zip(weights, own, strict=True)]
    pushes = threshold_pushes(rule, level, np.array([own]), units)
    terms: list[Term] = []
    for position, (_, name) in enumerate(parse_score(rule.score)):
        unit = units.get(columns[position])
        terms.append(
            {
                "name": name,
                "value": own[position],
                "weight": weights[position],
                "added": added[position],
                "deviation": None if unit is None else (own[position] - unit.middle) / unit.spread,
                "push": None if pushes is None else float(pushes[0, position]),
            }
        )
    order = ordered_terms(np.array([added]) if pushes is None else pushes, pushes is not None)[0]
    return [terms[position] for position in order]


def threshold_pushes(
    rule: LevelRule, level: Level, values: np.ndarray, units: Mapping[str, Units]
) -> np.ndarray | None:
    """How far each term pushes the score across the threshold.

    Let z be the number of standard deviations by which all terms must lie above their medians for
    the score to equal the threshold. A term pushes by its weighted distance from there.

    Args:
        rule: of the level.
        level: the level.
        values: float [N, M], the terms' own scores of N images.
        units: see `Background`.

    Returns:
        float64 [N, M], rows of sum score - threshold; None without units.
    """
    columns = _columns(rule, level)
    if any(column not in units for column in columns):
        return None
    weights = np.array([weight for weight, _ in parse_score(rule.score)])
    middle, spread = np.array([units[column] for column in columns]).T
    at_threshold = (rule.tau - weights @ middle) / (weights @ spread)
    return weights * (values - middle - at_threshold * spread)


def ordered_terms(amounts: np.ndarray, are_pushes: bool) -> np.ndarray:
    """Positions of terms, those that count most first, int64 [N, M].

    Args:
        amounts: float [N, M]: pushes, or what terms add.
        are_pushes: whether rows of a negative sum are ordered from their lowest amount on.
    """
    towards = np.where(amounts.sum(axis=1, keepdims=True) > 0.0, -1.0, 1.0) if are_pushes else -1.0
    return np.argsort(towards * amounts, axis=1, kind="stable")


def _columns(rule: LevelRule, level: Level) -> Sequence[str]:
    return [f"{own}_{name}" for _, own, name in score_terms(rule.score, level)]
