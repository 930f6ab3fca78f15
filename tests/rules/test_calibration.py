"""Claims about a rule's calibration, and about temperatures no row helped to fit for itself."""

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from hierclf.rules.calibration import (
    Calibration,
    LevelCalibration,
    calibrate_rule,
    calibrated_columns,
    calibration_errors,
)
from hierclf.rules.calibrators import NovelCurve, fit_temperature, novel_probability
from hierclf.rules.rule import LevelRule, Rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import draw_table

CALIBRATION = Calibration(
    LevelCalibration(1.5, NovelCurve(3.0, -1.0)), LevelCalibration(2.0, NovelCurve(0.0, 0.2))
)


def overconfident(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Logits four times too large, and labels drawn by the right probabilities."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 5))
    labels = (softmax(logits, axis=1).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return 4 * logits, labels


def test_a_calibration_survives_json() -> None:
    assert Calibration.from_dict(CALIBRATION.to_dict()) == CALIBRATION


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.0}, {"temperature": float("nan")}, {"slope": -1.0}, {"offset": "1"}],
)
def test_numbers_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    values = CALIBRATION.to_dict()
    with pytest.raises(ValueError, match=r"must hold|must be finite numbers"):
        Calibration.from_dict(values | {"super": values["super"] | change})


def test_a_calibration_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has .* for super and sub"):
        Calibration.from_dict({"super": CALIBRATION.to_dict()["super"]})


def test_no_row_is_divided_by_a_temperature_that_it_helped_to_fit() -> None:
    logits, labels = overconfident(400)
    pred, fit_rows = logits.argmax(axis=1), np.arange(400) < 300
    prob, temperature = calibrated_columns(logits, pred, labels, fit_rows)
    for row in (0, 1):
        own = np.flatnonzero(fit_rows)[row::2]
        other = np.flatnonzero(fit_rows)[1 - row :: 2]
        expected = fit_temperature(logits[other], labels[other])
        np.testing.assert_allclose(temperature[own], expected, rtol=1e-6)
    np.testing.assert_allclose(
        temperature[300:], fit_temperature(logits[:300], labels[:300]), rtol=1e-6
    )
    np.testing.assert_allclose(
        prob, softmax(logits / temperature[:, None], axis=1).max(axis=1), rtol=1e-5
    )


def test_temperature_scaling_lowers_the_error_of_known_val_images() -> None:
    logits, labels = overconfident()
    pred = logits.argmax(axis=1)
    table = draw_table(3000).assign(split="val", super_known=True, sub_known=True)
    prob = softmax(logits, axis=1).max(axis=1)
    calibrated, _ = calibrated_columns(logits, pred, labels, np.ones(3000, dtype=bool))
    for level in ("super", "sub"):
        table[f"{level}_label"], table[f"{level}_pred"] = labels, pred
        table[f"{level}_prob"], table[f"{level}_calibrated"] = prob, calibrated
    errors = calibration_errors(ScoreTable(table))
    before, after = errors["sub_ece"], errors["sub_ece_calibrated"]
    assert before is not None
    assert after is not None
    assert after < 0.03 < 0.2 < before


def test_a_rules_curves_are_sklearns_for_its_own_scores() -> None:
    table = draw_table(4000)
    rule = Rule(LevelRule("energy", 0.0), LevelRule("1*knn + 0.5*msp", 0.0))
    found = calibrate_rule(ScoreTable(table), rule, temperatures={"super": 2.0, "sub": 3.0})
    assert (found.super.temperature, found.sub.temperature) == (2.0, 3.0)
    score = (table["sub_knn"] + 0.5 * table["sub_msp"]).to_numpy(float)
    model = LogisticRegression(C=1e6, class_weight="balanced", tol=1e-8)
    model.fit(score[:, None], ~table["sub_known"])
    theirs = model.predict_proba(score[:, None])[:, 1]
    np.testing.assert_allclose(novel_probability(found.sub.curve, score), theirs, atol=5e-3)


def test_the_models_temperature_is_the_geometric_mean_of_the_folds() -> None:
    table = draw_table(200)
    table["super_temperature"] = np.where(np.arange(200) % 2, 1.0, 4.0)
    table["sub_temperature"] = 1.0
    found = calibrate_rule(ScoreTable(table), Rule(LevelRule("msp", 0.3), LevelRule("msp", 0.5)))
    assert found.super.temperature == pytest.approx(2.0)


def test_a_level_without_novel_rows_gives_every_image_the_same_probability() -> None:
    table = draw_table(800)
    table = table[table["super_known"]]
    found = calibrate_rule(
        ScoreTable(table),
        Rule(LevelRule("msp", 0.3), LevelRule("msp", 0.5)),
        temperatures={"super": 1.0, "sub": 1.0},
    )
    assert found.super.curve == NovelCurve(0.0, 0.0)
