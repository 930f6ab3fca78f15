"""Claims about rules, decisions and the exact trade-off curve, against sklearn and hand counts."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from hierclf.hierarchy import NOVEL
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.rule import (
    PAPER_RULE,
    LevelRule,
    Rule,
    apply_rule,
    evaluate_rule,
)
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep, thresholds_between
from tests.drawn_tables import draw_table


def hand_table() -> pd.DataFrame:
    """Four rows: known and right; novel sub; novel super; known, but super called novel."""
    return pd.DataFrame(
        {
            "super_label": [0, 0, 1, 0],
            "sub_label": [0, 1, 2, 0],
            "super_known": [True, True, False, True],
            "sub_known": [True, False, False, True],
            "super_pred": [0, 0, 0, 0],
            "sub_pred": [0, 0, 0, 0],
            "super_msp": np.array([0.1, 0.2, 0.35, 0.4], np.float32),
            "sub_msp": np.array([0.1, 0.6, 0.1, 0.2], np.float32),
        }
    )


def test_a_novel_super_class_makes_the_sub_class_novel() -> None:
    pred_super, pred_sub = apply_rule(ScoreTable(hand_table()), PAPER_RULE)
    assert pred_super.tolist() == [0, 0, NOVEL, NOVEL]
    assert pred_sub.tolist() == [0, NOVEL, NOVEL, NOVEL]


def test_evaluation_takes_classes_that_the_fold_did_not_know_as_novel() -> None:
    result = evaluate_rule(ScoreTable(hand_table()), PAPER_RULE)
    assert result["super_seen"] == pytest.approx(2 / 3)
    assert result["super_unseen"] == 1.0
    assert result["sub_seen"] == 0.5
    assert result["sub_unseen"] == 1.0
    assert result["sub_overall"] == 0.75


def test_a_score_equal_to_tau_is_known() -> None:
    table = hand_table().astype({"super_msp": float})
    pred_super, _ = apply_rule(
        ScoreTable(table),
        Rule(LevelRule("msp", float(table["super_msp"][1])), LevelRule("msp", 0.5)),
    )
    assert pred_super.tolist() == [0, 0, NOVEL, NOVEL]


def test_a_level_of_another_name_is_refused_and_never_taken_for_sub() -> None:
    assert PAPER_RULE["super"] == ("msp", 0.3)
    assert PAPER_RULE["sub"] == ("msp", 0.5)
    wrong: Any = "Super"
    with pytest.raises(KeyError, match="Super"):
        PAPER_RULE[wrong]


def test_a_rule_as_json_has_four_flat_keys() -> None:
    rule = Rule(LevelRule("knn", 0.25), LevelRule("energy", -3.0))
    flat = {"super_score": "knn", "super_tau": 0.25, "sub_score": "energy", "sub_tau": -3.0}
    assert rule.to_dict() == flat


def test_rules_survive_json() -> None:
    for rule in (
        Rule(LevelRule("knn", 0.25), LevelRule("energy", -3.0)),
        Rule(LevelRule("2*knn + msp", 0.25), LevelRule("super.knn", 1.0)),
    ):
        assert Rule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"super_tau": float("nan")}, "`super_tau` must be a finite number, but got nan"),
        ({"sub_tau": float("inf")}, "`sub_tau` must be a finite number, but got inf"),
        ({"sub_tau": "0.5"}, "`sub_tau` must be a finite number, but got '0.5'"),
        ({"super_score": ""}, "`super_score`: a score must be a name .*, but got ''"),
        ({"sub_score": 5}, "`sub_score`: a score must be a name .*, but got 5"),
        ({"sub_score": "-1*knn"}, r"`sub_score`: a weight must be finite and > 0, but got -1\*knn"),
        ({"sub_score": "knn + sub.knn"}, "`sub_score`: .* column 'sub_knn' twice"),
        ({"tau": 0.5}, "a rule has the keys"),
    ],
)
def test_a_bad_rule_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule.from_dict(PAPER_RULE.to_dict() | change)


def test_a_missing_score_and_a_score_that_is_not_finite_are_named() -> None:
    with pytest.raises(ValueError, match="needs a column 'sub_knn', but got super_label"):
        apply_rule(ScoreTable(hand_table()), Rule(LevelRule("msp", 0.3), LevelRule("knn", 0.5)))
    with pytest.raises(ValueError, match="`super_msp` must be finite, but got 4 bad rows"):
        apply_rule(ScoreTable(hand_table().assign(super_msp=np.nan)), PAPER_RULE)
    with pytest.raises(ValueError, match=r"`2\*msp \(super level\)` must be finite"):
        apply_rule(
            ScoreTable(hand_table().assign(super_msp=np.nan)),
            Rule(LevelRule("2*msp", 0.3), LevelRule("msp", 0.5)),
        )


def test_the_curve_agrees_with_sklearn_when_every_known_row_is_right() -> None:
    table = draw_table(3000, decimals=2)
    known = table["super_known"].to_numpy()
    score = table["super_energy"].to_numpy()
    curve = sweep(score, known, known)
    fpr, tpr, _ = roc_curve(~known, score, drop_intermediate=False)
    # Theirs falls from the highest threshold, ours rises from the lowest.
    np.testing.assert_allclose(curve.seen[::-1], 1 - fpr, atol=1e-12)
    np.testing.assert_allclose(curve.unseen[::-1], tpr, atol=1e-12)


rows_strategy = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.booleans()), min_size=2, max_size=40
).filter(lambda rows: len({row[2] for row in rows}) == 2)


@given(rows_strategy)
def test_the_curve_is_what_counting_at_each_of_its_thresholds_gives(
    rows: list[tuple[int, bool, bool]],
) -> None:
    score = np.array([row[0] for row in rows], dtype=np.float32)
    right, known = (np.array([row[i] for row in rows]) for i in (1, 2))
    curve = sweep(score, right, known)
    assert len(curve.taus) == len(np.unique(score)) + 1
    assert np.isfinite(curve.taus).all()
    for tau, seen, unseen in zip(curve.taus, curve.seen, curve.unseen, strict=True):
        assert seen == (right & (score <= tau))[known].mean()
        assert unseen == (score > tau)[~known].mean()
    assert (curve.unseen[0], curve.seen[0], curve.unseen[-1]) == (1.0, 0.0, 0.0)


@given(rows_strategy)
def test_no_threshold_beats_the_best_point(rows: list[tuple[int, bool, bool]]) -> None:
    score = np.array([row[0] for row in rows], dtype=float)
    right, known = (np.array([row[i] for row in rows]) for i in (1, 2))
    highest = right[known].mean()
    half = [Goal("seen-at-least", seen=highest / 2)] if highest else []
    for goal in (BALANCED, Goal("overall", novel_rate=0.3), *half):
        best = sweep(score, right, known).best(goal)
        for tau in np.arange(-4, 5, 0.5):
            seen, unseen = (right & (score <= tau))[known].mean(), (score > tau)[~known].mean()
            assert best.value >= goal.value(seen, unseen) - 1e-12


def test_a_curve_needs_known_and_novel_rows_and_finite_scores() -> None:
    with pytest.raises(ValueError, match="got 2 known and 0 novel"):
        sweep([0.0, 1.0], [True, True], [True, True])
    with pytest.raises(ValueError, match="`score` must be finite, but got 1 bad rows"):
        sweep([0.0, np.nan], [True, True], [True, False])
    with pytest.raises(ValueError, match="of one shape"):
        sweep([0.0], [True, True], [True, False])


def test_a_goal_that_no_threshold_reaches_is_refused() -> None:
    curve = sweep([0.0, 1.0, 2.0], [True, False, False], [True, True, False])
    assert curve.best(Goal("seen-at-least", seen=0.5))[1:] == (0.5, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"the highest seen accuracy is 0\.5000"):
        curve.best(Goal("seen-at-least", seen=0.6))


def test_thresholds_part_even_neighbouring_floats() -> None:
    values = np.array([1.0, np.nextafter(1.0, 2.0), 2.0])
    taus = thresholds_between(values)
    assert [int((values > tau).sum()) for tau in taus] == [3, 2, 1, 0]


def test_a_row_is_right_only_where_its_class_is_known() -> None:
    rows = ScoreTable(hand_table().assign(sub_pred=[0, 1, 2, 1]))["sub"]
    assert rows.known.tolist() == [True, False, False, True]
    assert rows.right.tolist() == [True, False, False, False]
