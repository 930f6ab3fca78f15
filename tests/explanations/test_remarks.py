"""Claims about remarks: there is one wherever numbers and answer seem to disagree, and no other."""

import math
from dataclasses import replace

import pytest

from hierclf.explanations.form import KnownClass
from hierclf.explanations.images import explain_images
from hierclf.explanations.remarks import (
    elsewhere_remark,
    order_remark,
    percent,
    probability_remark,
)
from hierclf.hierarchy import LEVELS, Level
from hierclf.predict import predict_images
from hierclf.rules.calibration import Calibration, LevelCalibration
from hierclf.rules.calibrators import NovelCurve
from hierclf.rules.rule import LevelRule
from tests.tiny_models import HIERARCHY, pictures, tiny_bundle

RULE, CURVE = LevelRule("knn", 2.0), NovelCurve(1.0, -3.0)  # 50 % at a score of 3


def probability(score: float) -> float:
    return 1 / (1 + math.exp(3.0 - score))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("score", "there"), [(1.9, False), (2.5, True), (3.1, False)])
def test_a_threshold_below_the_curves_middle_is_explained_between_the_two(
    level: Level, score: float, there: bool
) -> None:
    remark = probability_remark(level, RULE, score, probability(score), CURVE)
    assert (remark is not None) == there
    if remark:
        assert "is above the threshold although the probability of novelty is 38 %" in remark
        assert "passes 50 % at a score of 3" in remark
        assert ("may be nearer" in remark) == (level == "super")


def test_a_threshold_above_the_curves_middle_is_explained_between_the_two() -> None:
    rule = LevelRule("knn", 4.0)
    assert probability_remark("super", rule, 2.5, probability(2.5), CURVE) is None
    assert probability_remark("super", rule, 4.5, probability(4.5), CURVE) is None
    remark = probability_remark("super", rule, 3.5, probability(3.5), CURVE)
    assert remark is not None
    assert "is not above the threshold although the probability of novelty is 62 %" in remark


def test_a_flat_curve_is_named() -> None:
    remark = probability_remark("sub", RULE, 2.5, 0.5, NovelCurve(0.0, 0.0))
    assert remark is not None
    assert remark.endswith("the model gives that probability to every image.")


def test_probabilities_on_both_sides_of_a_half_are_explained_if_they_contradict() -> None:
    assert order_remark(0.4, 0.3) is None
    assert order_remark(0.6, 0.7) is None
    assert order_remark(0.3, 0.9) is None
    remark = order_remark(0.6, 0.3)
    assert remark is not None
    assert "(60 %) is more probable than a novel sub-class (30 %)" in remark


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (1, "100 %"), (0.004, "under 1 %"), (0.996, "over 99 %"), (0.374, "37 %")],
)
def test_a_percentage_is_0_or_100_only_if_it_is(value: float, text: str) -> None:
    assert percent(value) == text


def test_an_image_has_the_remarks_that_its_numbers_ask_for() -> None:
    """Counted once more from predict's table and the listed classes."""
    curves = Calibration(
        LevelCalibration(2.0, NovelCurve(3.0, -0.6)), LevelCalibration(1.5, NovelCurve(9.0, -8.8))
    )
    bundle = replace(tiny_bundle(), calibration=curves)
    images = pictures(60)
    table = predict_images(bundle, images)
    counts = dict.fromkeys(("probability", "implied", "order", "elsewhere"), 0)
    rows = table.to_dict("records")
    for row, explanation in zip(rows, explain_images(bundle, images), strict=True):
        sup, sub = explanation["super"], explanation["sub"]
        assert sup is not None
        assert sub is not None
        best = sub["classes"][0]
        parent = HIERARCHY.super_names[
            HIERARCHY.sub_to_super[HIERARCHY.sub_names.index(best["name"])]
        ]
        differ = [
            (row["super_score"] > 0.3) != (row["super_novel_prob"] > 0.5),
            (row["sub_score"] > 0.967) != (row["sub_novel_prob"] > 0.5),
        ]
        expected = {
            "probability": sum(differ),
            "implied": int(row["superclass"] == "novel" and row["sub_score"] <= 0.967),
            "order": int(row["super_novel_prob"] > 0.5 >= row["sub_novel_prob"]),
            "elsewhere": int(parent != sup["nearest"]),
        }
        text = " ".join(sup["remarks"] + sub["remarks"])
        found = {
            "probability": text.count("although the probability of novelty is"),
            "implied": text.count("is novel because the super-class is"),
            "order": text.count("is more probable than a novel sub-class"),
            "elsewhere": text.count("is the most probable of all sub-classes"),
        }
        assert found == expected, row["image"]
        assert len(sup["remarks"]) + len(sub["remarks"]) == sum(expected.values())
        counts = {key: counts[key] + expected[key] for key in counts}
    assert all(counts.values()), counts


def test_the_class_of_another_super_class_is_named_with_it() -> None:
    best: KnownClass = {"name": "pug", "index": 3, "probability": 0.41}
    remark = elsewhere_remark(best, "dog", "bird")
    assert "pug is the most probable of all sub-classes (41 %), but belongs to dog" in remark
    assert remark.endswith("if it belongs to the most probable super-class, bird.")
