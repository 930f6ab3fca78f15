"""Claims about expected values, against a slow computation class by class."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.choose import choose_rule, choose_thresholds, expectation
from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.expected import QUANTILES, Units, new_super_class
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import draw_table

GOALS = (
    BALANCED,
    Goal("overall", novel_rate=0.3),
    Goal("overall", novel_rate=0.4, super_novel_rate=0.1),
)


def slow_value(table: ScoreTable, goal: Goal, super_tau: float, sub_tau: float) -> float:
    """The expected value of knn's thresholds, one class and one quantile at a time."""
    evidence = Evidence.of(table)
    z, taus = {}, {}
    for level, tau in (("super", super_tau), ("sub", sub_tau)):
        score = table.score(level, "knn")  # type: ignore[arg-type]
        units = Units.of(score, evidence.rows(KNOWN))
        z[level] = units.apply(score)
        taus[level] = (tau - units.middle) / units.spread

    def class_mean(kind: int, hit: np.ndarray) -> float:
        rows = evidence.rows(kind)
        return float(np.mean([hit[rows & (evidence.unit == c)].mean()
                              for c in np.unique(evidence.unit[rows])]))  # fmt: skip

    super_kept = z["super"] <= taus["super"]
    kept = super_kept & (z["sub"] <= taus["sub"])
    known = evidence.rows(KNOWN)
    super_seen = [
        (evidence.super_right & super_kept)[known].mean(),
        class_mean(NEAR, evidence.super_right & super_kept),
    ]
    models = {level: new_super_class(evidence, z[level]) for level in ("super", "sub")}
    weight = evidence.weight[evidence.rows(FAR)]
    values = []
    for q in range(QUANTILES):
        shifted = {
            level: model.residuals + model.quantiles(QUANTILES)[q]
            for level, model in models.items()
        }
        super_novel = shifted["super"] > taus["super"]
        sub_novel = super_novel | (shifted["sub"] > taus["sub"])
        unseen = (class_mean(NEAR, ~kept) + weight @ sub_novel) / 2
        values.append(
            (
                goal.at("super").value(np.mean(super_seen), weight @ super_novel),
                goal.at("sub").value((evidence.sub_right & kept)[known].mean(), unseen),
            )
        )
    return float(np.mean(values))


@pytest.mark.parametrize("goal", GOALS)
def test_the_value_of_thresholds_is_that_of_a_slow_computation(goal: Goal) -> None:
    table = ScoreTable(draw_table(900))
    value = expectation(table, "knn", "knn", goal=goal)
    rng = np.random.default_rng(0)
    for _ in range(5):
        taus = [float(rng.choice(scores)) for scores in (value.super_scores, value.sub_scores)]
        found = value.values(np.array(taus[:1]), np.array(taus[1:]))[0, 0]
        assert found == pytest.approx(slow_value(table, goal, *taus), abs=1e-9)


def test_the_best_thresholds_beat_all_others_of_a_grid() -> None:
    value = expectation(ScoreTable(draw_table(3000)), "knn", "energy")
    best = value.best()
    own = value.values(np.array([best.super_tau]), np.array([best.sub_tau]))[0, 0]
    assert own == pytest.approx(best.value)
    grids = [np.quantile(x, np.linspace(0, 1, 37)) for x in (value.super_scores, value.sub_scores)]
    # The sweep's own grid is finer, but another one.
    assert value.values(*grids).max() <= best.value + 0.003


def test_super_classes_that_lie_far_and_alike_leave_room_for_nearer_ones() -> None:
    """Any threshold between 2 and 5 is equally good for the classes at hand."""
    rng = np.random.default_rng(0)
    n, frames = 400, []
    for sup in range(3):
        frames.append(rows(sup, sup, known=(True, True), score=rng.normal(0.0, 1.0, n)))
        frames.append(rows(sup, sup + 3, known=(True, False), score=rng.normal(0.5, 1.0, n)))
        frames.append(rows(sup, sup, known=(False, False), score=rng.normal(8.0, 0.5, n)))
    table = ScoreTable(pd.concat(frames, ignore_index=True))
    tau = choose_thresholds(table, "knn", "knn").rule.super.tau
    assert 1.5 < tau < 3.5  # as low as the known side allows, not half-way to what was hidden


def rows(sup: int, sub: int, *, known: tuple[bool, bool], score: np.ndarray) -> pd.DataFrame:
    """Rows of one class at one place, rightly predicted where known."""
    frame = {"super_label": sup, "sub_label": sub, "super_pred": sup, "sub_pred": sub}
    frame |= {"super_known": known[0], "sub_known": known[1]}
    return pd.DataFrame({**frame, "super_knn": score, "sub_knn": score})


def test_a_level_without_hidden_classes_never_says_novel() -> None:
    table = draw_table(600)
    own = ScoreTable(table[table["super_known"]].reset_index(drop=True))
    rule, value = choose_rule(own, ["knn"])
    assert (own.score("super", "knn") < rule.super.tau).all()
    assert 0.5 < value < 1.0


def test_the_rule_does_not_depend_on_a_scores_unit() -> None:
    table = draw_table(800)
    scaled = table.assign(
        **{f"{level}_knn": 64.0 * table[f"{level}_knn"] for level in ("super", "sub")}
    )
    first, second = (choose_rule(ScoreTable(t), ["knn"]) for t in (table, scaled))
    assert second.rule.super.score == "knn"
    assert second.rule.super.tau == pytest.approx(64.0 * first.rule.super.tau)
    assert second.value == pytest.approx(first.value)


def test_a_goal_that_no_threshold_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="at the super level the highest seen accuracy is 0"):
        choose_rule(ScoreTable(draw_table(800)), ["knn"], goal=Goal("seen-at-least", seen=0.999))


def test_a_table_without_held_out_classes_is_refused() -> None:
    table = draw_table(400)
    with pytest.raises(ValueError, match="needs rows of held-out classes, but got none"):
        choose_rule(ScoreTable(table[table["sub_known"]]), ["knn"])
    with pytest.raises(ValueError, match="needs rows of known sub-classes, but got none"):
        choose_rule(ScoreTable(table[~table["sub_known"]]), ["knn"])
