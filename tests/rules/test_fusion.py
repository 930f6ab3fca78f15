"""Claims about fused scores."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.evidence import KNOWN, Evidence
from hierclf.rules.expected import Units
from hierclf.rules.fusion import fused_score
from hierclf.rules.score_table import ScoreTable
from hierclf.scores.sums import parse_score
from tests.drawn_tables import NOISE, draw_table

NAMES = list(NOISE)


def shares(table: ScoreTable, text: str) -> dict[str, float]:
    """Each score's part of all weight, in units of its spread over known rows."""
    known = Evidence.of(table).rows(KNOWN)
    weights = {
        name: weight * Units.of(table.score("sub", name), known).spread
        for weight, name in parse_score(text)
    }
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def test_noise_gets_less_weight_than_what_tells_new_classes() -> None:
    table = draw_table(4000)
    table["sub_noise"] = np.random.default_rng(0).normal(size=len(table))
    found = shares(ScoreTable(table), fused_score(ScoreTable(table), "sub", ["knn", "noise"]))
    assert found["knn"] > 0.7


def test_with_one_hidden_class_weights_stay_near_equal_and_with_many_they_do_not() -> None:
    table = draw_table(6000)
    few = table[table["sub_known"] | (table["sub_label"] == 0)]
    few = few[few["super_known"]].reset_index(drop=True)

    def spread(frame: pd.DataFrame) -> float:
        found = shares(ScoreTable(frame), fused_score(ScoreTable(frame), "sub", NAMES))
        return float(np.std(list(found.values())))

    assert spread(few) < 0.5 * spread(table)


def test_a_score_that_stands_alone_in_the_end_is_named_without_a_weight() -> None:
    table = draw_table(6000).assign(sub_opposite=lambda drawn: -drawn["sub_knn"])
    for names in (["opposite", "knn"], ["knn", "opposite"]):
        assert fused_score(ScoreTable(table), "sub", names) == "knn"


def test_weights_follow_the_units_of_the_scores() -> None:
    table = draw_table(2000)
    plain = {n: w for w, n in parse_score(fused_score(ScoreTable(table), "sub", NAMES))}
    scaled = table.assign(sub_energy=8.0 * table["sub_energy"])
    other = {n: w for w, n in parse_score(fused_score(ScoreTable(scaled), "sub", NAMES))}
    assert other["energy"] == pytest.approx(plain["energy"] / 8.0, rel=1e-3)
    assert other["knn"] == pytest.approx(plain["knn"], rel=1e-3)


def test_a_level_without_hidden_classes_gets_equal_weights() -> None:
    table = draw_table(1000)
    own = ScoreTable(table[table["super_known"]].reset_index(drop=True))
    text = fused_score(own, "super", NAMES)
    known = Evidence.of(own).rows(KNOWN)
    for weight, name in parse_score(text):
        spread = Units.of(own.score("super", name), known).spread
        assert weight * spread == pytest.approx(1 / len(NAMES), rel=1e-4)


def test_one_score_is_itself_and_none_is_refused() -> None:
    table = ScoreTable(draw_table(300))
    assert fused_score(table, "sub", ["knn"]) == "knn"
    with pytest.raises(ValueError, match="needs names, but got none"):
        fused_score(table, "sub", [])
    with pytest.raises(ValueError, match="needs a column 'sub_gone'"):
        fused_score(table, "sub", ["gone"])
