"""Claims about the honest estimate: what chooses a rule never reports on it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from hierclf.hierarchy import NOVEL
from hierclf.rules.choose import Chosen, choose_rule
from hierclf.rules.cross_fit import CrossFit, cross_fit
from hierclf.rules.rule import PAPER_RULE, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import N_SUB_FOLDS, N_SUPER, PARTS, draw_table

SCORES = ("msp", "knn")
FOLDS = [f"sub{i}" for i in range(N_SUB_FOLDS)] + [f"super{i}" for i in range(N_SUPER)]


def fit_and_watch(table: pd.DataFrame) -> tuple[CrossFit, dict[float, pd.DataFrame]]:
    """The estimate, and the rows that chose each rule, found again by the rule's value."""
    choosing: dict[float, pd.DataFrame] = {}

    def choose(rows: ScoreTable, names: Sequence[str]) -> Chosen:
        rule, _ = choose_rule(rows, names)
        # A number of its own for each choice, so that cells lead back to their choosing rows.
        found = Chosen(rule, float(len(choosing)))
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
    for level in ("super", "sub"):
        # Upside down on part 0, right elsewhere: a rule that saw part 0 would do better there.
        score = 5.0 * ~table[f"{level}_known"] + np.random.default_rng(0).normal(size=len(table))
        table[f"{level}_leak"] = np.where(leaky, 20.0 - score, score)
    table = table[~leaky | (table["fold"] == "sub0")].reset_index(drop=True)
    honest = cross_fit(ScoreTable(table), PARTS, ("leak",), ["sub0"]).predictions
    own = honest[honest["part"] == 0]
    rows = ScoreTable(table).take(own.index)
    seen = own["pred_sub"].to_numpy()[rows.sub.known] == rows.sub.labels[rows.sub.known]
    assert not len(seen) or seen.mean() < 0.1
    assert (own["pred_sub"] == NOVEL).mean() > 0.9  # all of part 0 lies above others' thresholds


def test_a_fixed_rule_is_reported_as_on_the_table_itself() -> None:
    table = draw_table(1200, seed=3)
    fixed = cross_fit(
        ScoreTable(table),
        PARTS,
        SCORES,
        FOLDS,
        choose=lambda rows, names: Chosen(PAPER_RULE, 0.0),
    )
    assert fixed.accuracies == evaluate_rule(ScoreTable(table), PAPER_RULE)


def test_margins_say_what_the_predictions_say() -> None:
    table = draw_table(1500, seed=5)
    found = cross_fit(ScoreTable(table), PARTS, SCORES, FOLDS).predictions
    super_novel = (found["super_margin"] > 0).to_numpy()
    sub_novel = super_novel | (found["sub_margin"] > 0).to_numpy()
    np.testing.assert_array_equal(super_novel, found["pred_super"].to_numpy() == NOVEL)
    np.testing.assert_array_equal(sub_novel, found["pred_sub"].to_numpy() == NOVEL)


def test_bad_parts_and_folds_are_refused_in_one_line() -> None:
    table = draw_table(200)
    with pytest.raises(ValueError, match="at least 2 parts must have rows, but got 1"):
        cross_fit(ScoreTable(table), np.zeros_like(PARTS), SCORES, FOLDS)
    with pytest.raises(ValueError, match=r"every `sub_label` must be in 0..9"):
        cross_fit(ScoreTable(table), PARTS[:10], SCORES, FOLDS)
    with pytest.raises(ValueError, match=r"`report_folds` must be among .* but got \['sub9'\]"):
        cross_fit(ScoreTable(table), PARTS, SCORES, ["sub9"])
