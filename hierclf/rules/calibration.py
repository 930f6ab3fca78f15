"""What a model's probabilities rest on: a temperature for each head, a curve for each score.

Shape legend: N rows of a score table (see `hierclf.rules.score_table`), K classes of a level.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hierclf.hierarchy import LEVELS, Level
from hierclf.metrics.calibration_error import expected_calibration_error
from hierclf.rules.calibrators import NovelCurve, fit_novel_probability, fit_temperature
from hierclf.rules.decoding import class_probability

if TYPE_CHECKING:  # they are of pandas, which an exported model does without
    from hierclf.rules.rule import Rule
    from hierclf.rules.score_table import ScoreTable


class LevelCalibration(NamedTuple):
    """The calibration of one level.

    Attributes:
        temperature: > 0; logits are divided by it before the softmax.
        curve: P(novel) from the rule's score, where half of the images are novel.
    """

    temperature: float
    curve: NovelCurve


@dataclass(frozen=True)
class Calibration:
    """How logits and scores become probabilities; `calibration["sub"]` is `calibration.sub`.

    Raises:
        ValueError: a number that is not finite, a temperature <= 0 or a falling curve.
    """

    super: LevelCalibration
    sub: LevelCalibration

    def __post_init__(self) -> None:
        for level in LEVELS:
            temperature, curve = self[level]
            numbers = (temperature, *curve)
            if not all(isinstance(x, int | float) and math.isfinite(x) for x in numbers):
                raise ValueError(f"a calibration must be finite numbers, but got {numbers}")
            if not (temperature > 0 and curve.slope >= 0):
                raise ValueError(
                    f"`{level}_temperature > 0` and a slope >= 0 must hold, "
                    f"but got {temperature} and {curve.slope}"
                )

    def __getitem__(self, level: Level) -> LevelCalibration:
        return {"super": self.super, "sub": self.sub}[level]

    def to_dict(self) -> dict[str, Any]:
        """The calibration as plain JSON values."""
        return {
            level: {"temperature": self[level].temperature, **self[level].curve._asdict()}
            for level in LEVELS
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Calibration:
        """The inverse of `to_dict`; ValueError unless it has that form."""
        keys = {"temperature", "slope", "offset"}
        if set(values) != set(LEVELS) or any(set(values[level]) != keys for level in LEVELS):
            raise ValueError(f"a calibration has {sorted(keys)} for super and sub, got {values}")
        return Calibration(
            *(
                LevelCalibration(
                    values[level]["temperature"],
                    NovelCurve(values[level]["slope"], values[level]["offset"]),
                )
                for level in LEVELS
            )
        )


def calibrated_columns(
    logits: np.ndarray, pred: np.ndarray, labels: np.ndarray, fit_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of the predicted classes, no row by a temperature it helped to fit.

    The rows to fit on are dealt into two halves; each half has its probabilities by the other's
    temperature, all other rows by that of both.

    Args:
        logits: float [N, K]. pred: int [N], columns. labels: int [N], columns; ignored where
            `fit_rows`, bool [N], does not hold. At least two rows to fit on are needed to split.

    Returns:
        prob: float32 [N]. temperature: float32 [N], what each row's logits were divided by.
    """
    half = halves(fit_rows)
    temperatures = fit_halves(logits[fit_rows], labels[fit_rows], half[fit_rows])
    return with_temperatures(logits, pred, half, temperatures)


def halves(fit_rows: np.ndarray) -> np.ndarray:
    """The half that each row is dealt into, int64 [N]: 0 or 1 in turn, -1 outside of `fit_rows`."""
    return np.where(fit_rows, np.cumsum(fit_rows) % 2, -1)


def fit_halves(logits: np.ndarray, labels: np.ndarray, half: np.ndarray) -> np.ndarray | None:
    """The temperature of each half, which the other one fits, and that of all rows, float64 [3].

    Args:
        logits: float [N, K]. labels: int [N], columns. half: int [N], 0 or 1.

    Returns:
        None without rows.
    """
    if not len(logits):
        return None
    both = fit_temperature(logits, labels)
    if len(logits) < 2:
        return np.array([both, both, both])
    own = [fit_temperature(logits[half == other], labels[half == other]) for other in (1, 0)]
    return np.array([*own, both])


def with_temperatures(
    logits: np.ndarray, pred: np.ndarray, half: np.ndarray, temperatures: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """What `calibrated_columns` returns, of rows whose temperatures are fitted.

    Args:
        logits: float [N, K]. pred: int [N], columns. half: int [N], from `halves`.
        temperatures: from `fit_halves`.
    """
    if temperatures is None:
        return class_probability(logits, pred), np.ones(len(pred), np.float32)
    temperature = temperatures[half]  # -1 finds the last one
    prob = class_probability(logits / temperature[:, None], pred)
    return prob, temperature.astype(np.float32)


def calibrate_rule(
    table: ScoreTable, rule: Rule, *, temperatures: Mapping[Level, float] | None = None
) -> Calibration:
    """The calibration that goes with a rule, from the score table that chose it.

    Args:
        table: a score table; with `super_temperature` and `sub_temperature` unless `temperatures`
            are given: the model's are the geometric means over the folds.

    Raises:
        ValueError: a missing column.
    """
    parts = []
    for level in LEVELS:
        rows = table.labelled(level)
        novel, values = ~rows[level].known, rows.score(level, rule[level].score)
        judged = bool(novel.any() and not novel.all())
        # Without novel rows nothing is known of them: the same probability for every image.
        curve = fit_novel_probability(values, novel) if judged else NovelCurve(0.0, 0.0)
        if temperatures is None:
            # A user's own novel images have none.
            temperature = float(np.exp(np.nanmean(np.log(table.column(f"{level}_temperature")))))
        else:
            temperature = temperatures[level]
        parts.append(LevelCalibration(temperature, curve))
    return Calibration(*parts)


def calibration_errors(table: ScoreTable) -> dict[str, float | None]:
    """Expected calibration error of known val images, before and after temperature scaling.

    Args:
        table: a score table with `split`, `LEVEL_prob` and `LEVEL_calibrated`.

    Returns:
        super_ece, super_ece_calibrated, sub_ece, sub_ece_calibrated in [0, 1].
    """
    val = table.where(table.val)
    errors: dict[str, float | None] = {}
    for level in LEVELS:
        right = val[level].right
        for key, name in (("ece", "prob"), ("ece_calibrated", "calibrated")):
            prob = val.column(f"{level}_{name}")
            errors[f"{level}_{key}"] = expected_calibration_error(prob, right)
    return errors
