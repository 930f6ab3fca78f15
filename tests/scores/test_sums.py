"""Claims about weighted sums of scores, against sums worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierclf.rules.rule import LevelRule, Rule, apply_rule
from hierclf.rules.score_table import ScoreTable
from hierclf.scores.sums import format_score, parse_score, score_terms, sum_columns

COLUMNS = {
    "super_energy": np.array([1, 2, 3], np.float32),
    "sub_energy": np.array([10, 20, 30], np.float32),
    "sub_knn": np.array([0.1, 0.2, 0.3], np.float32),
}
names = st.sampled_from(["energy", "knn", "e", "super.knn", "sub.max_logit", "_x1", "superb"])
weights = st.floats(min_value=1e-300, max_value=1e300)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("energy", [(1.0, "energy")]),
        ("0.52*energy + 0.31*knn", [(0.52, "energy"), (0.31, "knn")]),
        (" 2 * super.energy+knn ", [(2.0, "super.energy"), (1.0, "knn")]),
        ("1e+05*e+2e-3*e2", [(1e5, "e"), (0.002, "e2")]),
        (".5*super_x + 3.*inf", [(0.5, "super_x"), (3.0, "inf")]),
    ],
)
def test_a_text_is_read_as_its_terms(text: str, terms: list[tuple[float, str]]) -> None:
    assert list(parse_score(text)) == terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a name or a weighted sum of names, but got ''"),
        (None, "but got None"),
        (3, "but got 3"),
        ("energy +", r"a sum such as .*, but got 'energy \+'"),
        ("energy knn", "but got 'energy knn'"),
        ("0.5*", "but got"),
        ("0.5", "but got '0.5'"),
        ("energy*0.5", "but got"),
        ("energy - knn", "but got"),
        ("other.knn", "but got 'other.knn'"),
        ("sub.super.knn", "but got"),
        ("2*3*knn", "but got"),
        ("0*energy", r"finite and > 0, but got 0\*energy"),
        ("knn + -1*energy", r"but got -1\*energy in 'knn \+ -1\*energy'"),
        ("nan*energy", r"but got nan\*energy"),
        ("1e999*energy", r"but got 1e999\*energy"),
        ("knn + 2*knn", "each term once, but got 'knn' twice"),
    ],
)
def test_another_text_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_score(text)
    assert "\n" not in str(caught.value)


@given(st.lists(st.tuples(weights, names), min_size=1, unique_by=lambda term: term[1]))
def test_what_is_written_is_read_back_with_six_digits(terms: list[tuple[float, str]]) -> None:
    text = format_score(terms)
    read = parse_score(text)
    assert [name for _, name in read] == [name for _, name in terms]
    for (kept, _), (given_weight, _) in zip(read, terms, strict=True):
        assert kept == pytest.approx(given_weight, rel=5e-6)
    assert format_score(read) == text


def test_a_single_term_of_weight_one_is_written_as_its_name() -> None:
    assert format_score([(1.0, "knn")]) == "knn"
    assert format_score([(0.123456789, "knn"), (1, "sub.e")]) == "0.123457*knn + 1*sub.e"


@pytest.mark.parametrize("terms", [[], [(-1.0, "knn")], [(float("nan"), "knn")], [(1.0, "a b")]])
def test_what_could_not_be_read_back_is_not_written(terms: list[tuple[float, str]]) -> None:
    with pytest.raises(ValueError, match="but got"):
        format_score(terms)


def test_a_term_without_a_level_is_the_heads_own() -> None:
    assert score_terms("energy + 2*super.knn", "sub") == [
        (1.0, "sub", "energy"),
        (2.0, "super", "knn"),
    ]
    with pytest.raises(ValueError, match="but got column 'sub_knn' twice"):
        score_terms("knn + sub.knn", "sub")
    assert len(score_terms("knn + sub.knn", "super")) == 2


def test_sums_are_those_worked_out_by_hand() -> None:
    own = sum_columns(COLUMNS, "sub", "0.5*energy + 10*knn")
    np.testing.assert_allclose(own, [6, 12, 18], rtol=1e-6)
    both = sum_columns(pd.DataFrame(COLUMNS), "sub", "energy + 3*super.energy")
    assert both.tolist() == [13.0, 26.0, 39.0]
    assert both.dtype == np.float64


def test_a_name_alone_is_exactly_its_column() -> None:
    column = np.array([0.1, -0.0, 3e38], np.float32)
    values = sum_columns({"sub_knn": column}, "sub", "knn")
    np.testing.assert_array_equal(values, column.astype(np.float64))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="needs a column 'super_knn', but got super_energy, sub"):
        sum_columns(COLUMNS, "sub", "energy + super.knn")
    with pytest.raises(ValueError, match="needs a column 'sub_knn', but got no column"):
        sum_columns({}, "sub", "knn")


def test_a_rule_of_sums_decides_like_the_rule_of_a_column_that_holds_them() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"{a}_{b}": rng.random(50) for a in ("super", "sub") for b in "xy"})
    for level in ("super", "sub"):
        table[f"{level}_label"] = table[f"{level}_pred"] = 0
        table[f"{level}_known"] = True
    held = table.assign(
        super_sum=0.3 * table["super_x"] + 0.7 * table["super_y"],
        sub_sum=0.5 * table["sub_x"] + 0.5 * table["super_y"],
    )
    by_sum = apply_rule(
        ScoreTable(table),
        Rule(LevelRule("0.3*x + 0.7*y", 0.6), LevelRule("0.5*x + 0.5*super.y", 0.5)),
    )
    by_column = apply_rule(ScoreTable(held), Rule(LevelRule("sum", 0.6), LevelRule("sum", 0.5)))
    for ours, theirs in zip(by_sum, by_column, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert 0 < (ours == 0).sum() < 50
