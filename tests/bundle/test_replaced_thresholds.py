"""Claims about thresholds that are replaced in a model directory, cut short at any moment."""

import json
import os
from pathlib import Path

import pytest

from hierclf.bundle.directory import load_bundle, load_card
from hierclf.bundle.rule_file import save_rule
from hierclf.predict import predict_images
from hierclf.rules.rule import LevelRule, Rule
from tests.tiny_models import MODEL_FILES, pictures, save_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def die_at_rename(number: int, model: Path, rule: Rule) -> bool:
    """Replace the rule in a process that ends, without any clean-up, at its n-th rename."""
    child = os.fork()
    if child == 0:
        renames, rename = iter(range(number)), Path.replace

        def replace(self: Path, target: Path) -> Path:
            if next(renames, None) is None:
                os._exit(9)
            return rename(self, target)

        Path.replace = replace  # type: ignore[method-assign,assignment]
        save_rule(model, rule)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_replacing_thresholds_may_be_cut_short_at_any_moment(model: Path) -> None:
    rules = [Rule(LevelRule("msp", i / 10), LevelRule("knn", 0.5)) for i in range(1, 9)]
    save_rule(model, rules[0])
    held = [rules[0]]
    died = True
    while died:
        number = len(held)
        died = die_at_rename(number - 1, model, rules[number])
        found = load_bundle(model).rule
        assert found in (held[-1], rules[number])
        assert load_card(model).rule == found
        assert found is not None
        held.append(found)
    # It did die before the file was replaced, after that, and not at all.
    assert held[1] == rules[0]
    assert held[-2:] == rules[len(held) - 2 : len(held)]
    assert len(held) > 4
    sums = json.loads((model / "bundle.json").read_text())["sha256"]
    assert all(isinstance(entry, str) for entry in sums.values())
    assert set(sums) == set(MODEL_FILES) - {"bundle.json"}


def test_a_bundle_still_predicts_after_its_thresholds_were_replaced(model: Path) -> None:
    before = predict_images(load_bundle(model), pictures(8))
    save_rule(
        model, Rule(LevelRule("msp", 2.0), LevelRule("knn", 3.0)), load_bundle(model).calibration
    )
    after = predict_images(load_bundle(model), pictures(8))
    assert "novel" in set(before["subclass"])
    assert "novel" not in set(after["subclass"])
