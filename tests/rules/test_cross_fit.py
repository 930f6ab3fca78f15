"""Claims about the honest estimate: what chooses a rule never reports on it."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.cross_fit import CrossFit, cross_fit
from hierclf.rules.exact import BestRule, Scores, best_rule
from hierclf.rules.goals import Goal
from hierclf.rules.rule import PAPER_RULE, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import N_SUB_FOLDS, N_SUPER, PARTS, draw_table

SCORES = ("msp", "knn")
FOLDS = [f"sub{i}" for i in range(N_SUB_FOLDS)] + [f"super{i}" for i in range(N_SUPER)]


def fit_and_watch(table: pd.DataFrame) -> tuple[CrossFit, dict[float, pd.DataFrame]]:
    """The estimate, and the rows that chose each rule, found again by the rule's value."""
    choosing: dict[float, pd.DataFrame] = {}

    def choose(rows: ScoreTable, scores: Scores) -> BestRule:
        rule, _ = best_rule(rows, scores)
        # A number of its own for each choice, so that cells lead back to their choosing rows.
        found = BestRule(rule, float(len(choosing)))
        choosing[found.value] = rows.frame
        return found

    return cross_fit(ScoreTable(table), PARTS, SCORES, FOLDS, choose=choose), choosing


def test_no_class_that_chooses_a_rule_reports_on_it() -> None:
    table = draw_table(2000)
    result, choosing = fit_and_watch(table)
    assert len(result.cells) == N_SUB_FOLDS * len(FOLDS)
    for i, cell in result.cells.iterrows():
        chooses = choosing[cell["value"]]
        reports = table.iloc[result.predictions.index[result.predictions["cell"] == i]]
        assert (len(chooses), len(reports)) == (cell["n_choose"], cell["n_report"])
        assert not set(chooses["sub_label"]) & set(reports["sub_label"])
        novel_supers = [
            set(rows[~rows["super_known"]]["super_label"]) for rows in (chooses, reports)
        ]
        assert not novel_supers[0] & novel_supers[1]
        assert novel_supers[0], "the choosing rows still hold other super-classes as novel"
        assert not chooses.index.intersection(reports.index).size


def test_every_row_of_the_reported_folds_is_reported_once() -> None:
    table = draw_table(1000)
    table.index = table.index[::-1]  # positions count, whatever the index says
    result = cross_fit(ScoreTable(table), PARTS, SCORES, ["sub1", "super0"])
    wanted = np.flatnonzero(table["fold"].isin(["sub1", "super0"]))
    assert result.predictions.index.tolist() == wanted.tolist()
    assert (result.predictions["fold"].to_numpy() == table["fold"].to_numpy()[wanted]).all()


def test_changing_what_a_cell_reports_never_changes_its_rule() -> None:
    table = draw_table(1500, seed=1)
    before = cross_fit(ScoreTable(table), PARTS, SCORES, FOLDS).cells
    columns = [f"{level}_{score}" for level in ("super", "sub") for score in SCORES]
    for fold, part in (("sub2", 2), ("super1", 0)):
        # Everything that must not count for this cell: its part, and all of its novel super-class.
        secret = PARTS[table["sub_label"]] == part
        if fold.startswith("super"):
            secret |= (table["fold"] == fold).to_numpy()
        spoilt = table.astype(dict.fromkeys(columns, float))
        spoilt.loc[secret, columns] = np.random.default_rng(0).random((secret.sum(), len(columns)))
        after = cross_fit(ScoreTable(spoilt), PARTS, SCORES, FOLDS).cells
        same = (before["fold"] == fold) & (before["part"] == part)
        pd.testing.assert_frame_equal(before[same], after[same])
        assert not before.equals(after)


def test_a_score_that_leaks_the_answer_for_one_part_does_not_help_that_part() -> None:
    table = draw_table(2500, seed=2)
    leaky = PARTS[table["sub_label"]] == 0
    noise = 0.03 * np.random.default_rng(0).normal(size=len(table))
    for level in ("super", "sub"):
        # Perfect on part 0, a worse `knn` elsewhere: whoever looks at part 0 too chooses it.
        answer, knn = ~table[f"{level}_known"], table[f"{level}_knn"]
        table[f"{level}_leak"] = np.where(leaky, answer, knn + noise)
    tempted = best_rule(ScoreTable(table), ("knn", "leak")).rule
    assert tempted.super.score == tempted.sub.score == "leak"
    honest = cross_fit(ScoreTable(table), PARTS, ("knn", "leak"), FOLDS)
    own = honest.cells[honest.cells["part"] == 0]
    assert set(own["super_score"]) == set(own["sub_score"]) == {"knn"}


def test_a_fixed_rule_is_reported_as_on_the_table_itself() -> None:
    table = draw_table(1200, seed=3)
    fixed = cross_fit(
        ScoreTable(table),
        PARTS,
        SCORES,
        FOLDS,
        choose=lambda rows, scores: BestRule(PAPER_RULE, 0.0),
    )
    assert fixed.accuracies == evaluate_rule(ScoreTable(table), PAPER_RULE)


def test_the_honest_estimate_of_pure_noise_is_not_above_what_the_table_chose() -> None:
    table = draw_table(600, seed=4)
    rng = np.random.default_rng(0)
    for level in ("super", "sub"):
        table[f"{level}_noise"] = rng.random(len(table))
    chosen = evaluate_rule(ScoreTable(table), best_rule(ScoreTable(table), ("noise",)).rule)
    honest = cross_fit(ScoreTable(table), PARTS, ("noise",), FOLDS).accuracies
    for key in ("super_harmonic", "sub_harmonic"):
        ours, theirs = honest[key], chosen[key]
        assert ours is not None
        assert theirs is not None
        assert ours < theirs


def test_goal_and_scores_of_each_level_reach_every_choice() -> None:
    table = draw_table(1500, seed=5)
    scores, goal = {"super": ["msp"], "sub": ["knn + msp"]}, Goal("seen-at-least", seen=0.85)
    found = cross_fit(ScoreTable(table), PARTS, scores, FOLDS, goal=goal)
    by_hand = cross_fit(
        ScoreTable(table),
        PARTS,
        scores,
        FOLDS,
        choose=lambda rows, names: best_rule(rows, names, goal),
    )
    pd.testing.assert_frame_equal(found.cells, by_hand.cells)
    assert set(found.cells["sub_score"]) == {"knn + msp"}
    balanced = cross_fit(ScoreTable(table), PARTS, scores, FOLDS)
    assert found.accuracies["sub_seen"] != balanced.accuracies["sub_seen"]


def test_bad_parts_and_folds_are_refused_in_one_line() -> None:
    table = draw_table(200)
    with pytest.raises(ValueError, match="at least 2 parts must have rows, but got 1"):
        cross_fit(ScoreTable(table), np.zeros_like(PARTS), SCORES, FOLDS)
    with pytest.raises(ValueError, match=r"every `sub_label` must be in 0..9"):
        cross_fit(ScoreTable(table), PARTS[:10], SCORES, FOLDS)
    with pytest.raises(ValueError, match=r"`report_folds` must be among .* but got \['sub9'\]"):
        cross_fit(ScoreTable(table), PARTS, SCORES, ["sub9"])
