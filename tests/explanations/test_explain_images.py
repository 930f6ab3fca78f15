"""Claims about explanations: they are of predict's own answers, and their parts add up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hierclf.bundle.directory import Bundle, load_bundle, save_bundle
from hierclf.data.demo import write_demo
from hierclf.data.image_files import list_images
from hierclf.explanations.background import read_background
from hierclf.explanations.form import Explanation, LevelExplanation
from hierclf.explanations.images import explain_images
from hierclf.explanations.terms import threshold_pushes
from hierclf.hierarchy import LEVELS, Level
from hierclf.predict import predict_images, score_batches
from hierclf.rules.rule import LevelRule, Rule
from tests.tiny_models import HIERARCHY, pictures, save_tiny_model, tiny_bundle, tiny_table

FUSED = Rule(LevelRule("0.5*msp + 2*knn", 2.08), LevelRule("0.25*super.msp + 0.5*msp + knn", 1.2))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("model") / "model"
    save_tiny_model(folder, FUSED)
    return load_bundle(folder)


def level_of(explanation: Explanation, level: Level) -> LevelExplanation:
    found = {"super": explanation["super"], "sub": explanation["sub"]}[level]
    assert found is not None
    return found


def test_every_answer_is_that_of_predict_on_the_whole_demo_test_set(
    bundle: Bundle, tmp_path: Path
) -> None:
    write_demo(tmp_path)
    images = list_images(str(tmp_path / "test_images.zip"))
    assert len(images) > 100
    table = predict_images(bundle, images)
    assert 0 < (table["superclass"] == "novel").sum() < len(table)
    explained = list(explain_images(bundle, images))
    assert [explanation["image"] for explanation in explained] == table["image"].tolist()
    for level in LEVELS:
        levels = [level_of(explanation, level) for explanation in explained]
        for key, column in (("decision", "class"), ("index", "class_index")):
            assert [found[key] for found in levels] == table[f"{level}{column}"].tolist()  # type: ignore[literal-required]
        for key, column in (("score", "score"), ("novel_probability", "novel_prob")):
            own = np.array([found[key] for found in levels], dtype=np.float32)  # type: ignore[literal-required]
            np.testing.assert_array_equal(own, table[f"{level}_{column}"])


def test_terms_add_up_to_the_score_and_pushes_to_the_margin(bundle: Bundle) -> None:
    images = pictures(12)
    ((scores, _),) = score_batches(bundle, images)
    predicted = predict_images(bundle, images)
    weights = {
        "super": {"super_msp": 0.5, "super_knn": 2.0},
        "sub": {"super_msp": 0.25, "sub_msp": 0.5, "sub_knn": 1.0},
    }
    for row, explanation in enumerate(explain_images(bundle, images)):
        for level in LEVELS:
            found = level_of(explanation, level)
            by_hand = sum(w * float(scores[c][row]) for c, w in weights[level].items())
            assert found["score"] == pytest.approx(by_hand, rel=1e-12)
            assert np.float32(found["score"]) == predicted[f"{level}_score"][row]
            assert sum(t["added"] for t in found["terms"]) == pytest.approx(by_hand, rel=1e-12)
            margin = found["score"] - FUSED[level].tau
            pushes = [t["push"] for t in found["terms"] if t["push"] is not None]
            assert len(pushes) == len(weights[level])
            assert sum(pushes) == pytest.approx(margin, abs=1e-12)
            assert found["margin"] == margin
            assert pushes == sorted(pushes, reverse=margin > 0)


def test_a_deviation_counts_standard_deviations_of_held_out_known_images(bundle: Bundle) -> None:
    table = tiny_table()
    known = table.loc[table["sub_known"], "super_knn"].to_numpy(np.float64)
    explanation = next(explain_images(bundle, pictures(1)))
    term = next(t for t in level_of(explanation, "super")["terms"] if t["name"] == "knn")
    expected = (term["value"] - np.median(known)) / known.std()
    assert term["deviation"] == pytest.approx(expected, rel=1e-6)


def test_terms_that_deviate_alike_push_nothing_at_the_threshold(bundle: Bundle) -> None:
    units, rule = read_background(bundle).units, FUSED.super
    columns, weights = ["super_msp", "super_knn"], np.array([0.5, 2.0])
    middle, spread = np.array([units[column] for column in columns]).T
    z = (rule.tau - weights @ middle) / (weights @ spread)
    values = np.stack([middle + z * spread, middle + (z + 1) * spread])
    pushes = threshold_pushes(rule, "super", values, units)
    assert pushes is not None
    np.testing.assert_allclose(pushes, [[0.0, 0.0], weights * spread], atol=1e-12)


def test_classes_are_the_most_probable_ones_at_the_calibrated_temperature(bundle: Bundle) -> None:
    table = predict_images(bundle, pictures(12))
    for row, explanation in enumerate(explain_images(bundle, pictures(12))):
        sup, sub = level_of(explanation, "super"), level_of(explanation, "sub")
        assert len(sup["classes"]) == 2
        assert len(sub["classes"]) == 3
        assert sum(c["probability"] for c in sup["classes"]) == pytest.approx(1.0, abs=1e-6)
        assert sup["classes"][0]["probability"] == pytest.approx(table["super_prob"][row], abs=1e-6)
        assert sup["classes"][0]["name"] == sup["nearest"]
        for found, names, ids in (
            (sup, HIERARCHY.super_names, HIERARCHY.super_ids),
            (sub, HIERARCHY.sub_names, HIERARCHY.sub_ids),
        ):
            assert all(c["index"] == ids[names.index(c["name"])] for c in found["classes"])
            assert found["decision"] in ("novel", found["nearest"])
        parent = HIERARCHY.sub_to_super[HIERARCHY.sub_names.index(sub["nearest"])]
        assert HIERARCHY.super_names[parent] == sup["nearest"]


def test_an_explanation_survives_json_and_an_unreadable_image_keeps_its_place(
    bundle: Bundle,
) -> None:
    images = [pictures(1)[0], ("bad", b"no image"), ("0.png", pictures(2)[1][1])]
    explained = list(explain_images(bundle, images, batch_size=2))
    assert json.loads(json.dumps(explained)) == explained
    assert [e["image"] for e in explained] == ["0.png", "bad", "0.png"]
    assert "not a readable" in str(explained[1]["error"])
    assert explained[1]["super"] is explained[1]["sub"] is None
    assert explained[0] != explained[2]


def test_without_a_score_table_terms_are_ordered_by_what_they_add(tmp_path: Path) -> None:
    save_bundle(tiny_bundle(FUSED), tmp_path)
    bare = load_bundle(tmp_path)
    missing, _ = read_background(bare).missing
    assert "has no score_table.parquet" in missing
    assert "\n" not in missing
    terms = level_of(next(explain_images(bare, pictures(1))), "sub")["terms"]
    assert all(term["push"] is term["deviation"] is None for term in terms)
    added = [term["added"] for term in terms]
    assert added == sorted(added, reverse=True)


def test_a_damaged_score_table_costs_the_pushes_only(tmp_path: Path) -> None:
    save_tiny_model(tmp_path, FUSED)
    (tmp_path / "score_table.parquet").write_bytes(b"damaged")
    damaged = load_bundle(tmp_path)
    assert "must match its checksum" in read_background(damaged).missing[0]
    assert level_of(next(explain_images(damaged, pictures(1))), "sub")["terms"]


def test_a_model_without_calibration_has_no_probability_of_novelty() -> None:
    bare = replace(tiny_bundle(FUSED), calibration=None)
    for explanation in explain_images(bare, pictures(12)):
        for level in LEVELS:
            assert level_of(explanation, level)["novel_probability"] is None
            assert not any("novelty" in r for r in level_of(explanation, level)["remarks"])


def test_a_model_without_thresholds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must hold thresholds\.json, but has none$"):
        next(explain_images(replace(tiny_bundle(), rule=None), pictures(1)))
