"""Claims about goals: their values, and that they never fall as accuracies rise."""

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierclf.rules.goals import BALANCED, Goal

GOALS = [
    BALANCED,
    Goal("overall", novel_rate=0.2),
    Goal("overall", novel_rate=0.9),
    Goal("seen-at-least", seen=0.7),
    Goal("seen-at-least", seen=1.0),
]
shares = st.floats(0.0, 1.0)


@pytest.mark.parametrize("goal", GOALS)
@given(shares, shares, shares, shares)
def test_a_value_never_falls_when_an_accuracy_rises(
    goal: Goal, a: float, b: float, c: float, d: float
) -> None:
    low, high = (min(a, b), min(c, d)), (max(a, b), max(c, d))
    assert goal.value(*low) <= goal.value(*high) + 1e-12


def test_values_are_those_worked_out_by_hand() -> None:
    seen, unseen = np.array([0.9, 0.7, 0.6, 0.0]), np.array([0.3, 0.5, 1.0, 0.0])
    expected = [
        statistics.harmonic_mean(pair) for pair in zip(seen.tolist(), unseen.tolist(), strict=True)
    ]
    np.testing.assert_allclose(BALANCED.value(seen, unseen), expected)
    overall = Goal("overall", novel_rate=0.25)
    np.testing.assert_allclose(overall.value(seen, unseen), [0.75, 0.65, 0.7, 0.0])
    at_least = Goal("seen-at-least", seen=0.7)
    np.testing.assert_allclose(at_least.value(seen, unseen), [0.3, 0.5, -1.4, -2.0])


def test_each_level_has_its_own_share_of_novel_images() -> None:
    goal = Goal("overall", novel_rate=0.5, super_novel_rate=0.25)
    assert goal.at("super").value(0.9, 0.3) == pytest.approx(0.75)
    assert goal.at("sub").value(0.9, 0.3) == pytest.approx(0.6)
    assert Goal("overall", novel_rate=0.5).at("super").value(0.9, 0.3) == pytest.approx(0.6)


def test_a_share_that_rounds_below_the_number_asked_for_reaches_it() -> None:
    assert Goal("seen-at-least", seen=0.1 + 0.2).value(0.3, 0.5) == 0.5


@given(shares, shares, shares)
def test_one_level_never_makes_up_for_another_that_is_not_reached(
    seen: float, unseen: float, other: float
) -> None:
    goal = Goal("seen-at-least", seen=0.7)
    if seen < 0.69:
        assert goal.value(seen, unseen) + goal.value(1.0, other) < 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "balanced", "super_novel_rate": 0.5},
            "`super_novel_rate` must be given with the goal 'overall' only, .* with 'balanced'",
        ),
        (
            {"kind": "overall", "novel_rate": 0.5, "super_novel_rate": 0.0},
            "`0 < super_novel_rate < 1` must hold, but got super_novel_rate=0.0",
        ),
        ({"kind": "fast"}, "`goal` must be one of balanced, overall, .*, but got 'fast'"),
        ({"kind": "overall"}, "`novel_rate` must be given with the goal 'overall'"),
        ({"kind": "balanced", "novel_rate": 0.5}, "novel_rate=0.5 with 'balanced'"),
        ({"kind": "overall", "novel_rate": 0.5, "seen": 0.9}, "seen=0.9 with 'overall'"),
        ({"kind": "seen-at-least"}, "`seen` must be given"),
        ({"kind": "overall", "novel_rate": 1.5}, "`0 < novel_rate < 1` .* got novel_rate=1.5"),
        ({"kind": "overall", "novel_rate": float("nan")}, "got novel_rate=nan"),
        ({"kind": "seen-at-least", "seen": 0.0}, "`0 < seen <= 1` must hold, but got seen=0.0"),
        ({"kind": "seen-at-least", "seen": 95.0}, "got seen=95.0"),
    ],
)
def test_a_bad_goal_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Goal(**values)
    assert "\n" not in str(caught.value)


def test_what_no_tau_reaches_is_said_with_the_highest_there_is() -> None:
    goal = Goal("seen-at-least", seen=0.9)
    with pytest.raises(ValueError, match=r"got seen=0\.9, and at the sub level .* is 0\.8500"):
        goal.check_reached(0.85, "the sub level")
    goal.check_reached(0.9, "the sub level")
    BALANCED.check_reached(0.0, "the sub level")
