"""Claims about a user's own novel images in rules: each class chooses, and is judged by others."""

import numpy as np
import pandas as pd
import pytest

from hierclf.hierarchy import UNLABELLED
from hierclf.rules.choose import choose_rule
from hierclf.rules.cross_fit import cross_fit
from hierclf.rules.evidence import FAR, NEAR, Evidence
from hierclf.rules.promise import cross_fitted_promise, promise
from hierclf.rules.rule import evaluate_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import N_SUB, N_SUB_FOLDS, N_SUPER, NOISE, PARTS, draw_table

NAMES = list(NOISE)
OWN = {"near": 0, "far": N_SUPER, "unlabelled": UNLABELLED}


def with_own(kind: str, *, shift: float, n_classes: int = 6, per_class: int = 80) -> pd.DataFrame:
    """A table with a user's own classes, whose scores lie `shift` spreads above known ones."""
    table = draw_table(6000)
    known = table[table["sub_known"]]
    rows = known.sample(n_classes * per_class, random_state=1).copy()
    own = np.arange(len(rows)) // per_class
    rows["fold"], rows["sub_known"], rows["super_known"] = "reference", False, kind == "near"
    rows["super_label"] = OWN[kind] + (own if kind == "far" else 0)
    rows["sub_label"] = N_SUB + own
    for column in [f"{level}_{name}" for level in ("super", "sub") for name in NAMES]:
        rows[column] = rows[column] + shift * known[column].std()
    return pd.concat([table, rows.astype(table.dtypes)], ignore_index=True)


def parts_of(n_classes: int = 6) -> np.ndarray:
    return np.append(PARTS, 1 + np.arange(n_classes) % (N_SUB_FOLDS - 1))


def test_a_class_without_a_super_label_is_evidence_at_the_sub_level_only() -> None:
    table = ScoreTable(with_own("unlabelled", shift=0.5))
    own = table.super.labels == UNLABELLED
    evidence = Evidence.of(table)
    assert set(evidence.kind[own]) == {NEAR}
    assert evidence.weight[own].sum() > 0
    assert not evidence.super_weight[own].any()
    for weight in (evidence.weight, evidence.super_weight):
        sums = [weight[evidence.rows(kind)].sum() for kind in (0, NEAR, FAR)]
        np.testing.assert_allclose(sums, 1.0)


def test_near_rows_without_any_super_label_leave_the_super_level_to_the_others() -> None:
    table = with_own("unlabelled", shift=0.5)
    near = table["super_known"] & ~table["sub_known"]
    found = ScoreTable(table[~near])
    evidence = Evidence.of(found)
    assert evidence.has(NEAR)
    assert not evidence.has(NEAR, "super")
    choose_rule(found, NAMES)
    figures = promise(found, found.frame.assign(super_margin=0.0, sub_margin=0.0))
    assert figures["super_seen_near"] is None
    assert figures["sub_unseen_near"] is not None


@pytest.mark.parametrize("kind", ["near", "far", "unlabelled"])
def test_own_classes_nearer_than_the_hidden_ones_lower_the_threshold_of_their_level(
    kind: str,
) -> None:
    # A fixed score, so that thresholds can be compared.
    without = choose_rule(ScoreTable(draw_table(6000)), ["knn"]).rule
    table = ScoreTable(with_own(kind, shift=0.6, n_classes=30))
    found = choose_rule(table, ["knn"]).rule
    if kind == "far":
        assert found.super.tau < without.super.tau
    else:
        assert found.sub.tau < without.sub.tau
    if kind == "unlabelled":
        own = table.super.labels == UNLABELLED
        before = evaluate_rule(table, without)
        assert before == evaluate_rule(table.where(~own), without)  # they have no super level


@pytest.mark.parametrize("kind", ["near", "far", "unlabelled"])
def test_no_own_class_chooses_the_rule_that_judges_it(kind: str) -> None:
    table, parts = ScoreTable(with_own(kind, shift=0.8)), parts_of()
    seen: list[ScoreTable] = []

    def choose(rows: ScoreTable, names: object) -> object:
        seen.append(rows)
        return choose_rule(rows, ["knn"])

    folds = sorted(set(table.folds))
    fit = cross_fit(table, parts, ["knn"], folds, choose=choose)  # type: ignore[arg-type]
    own = np.flatnonzero(table.sub.labels >= N_SUB)
    assert set(own) <= set(fit.predictions.index)  # every one is judged
    judged = fit.predictions.loc[own]
    for part in judged["part"].unique():
        classes = set(table.sub.labels[judged.index[judged["part"] == part]])
        choosers = [rows for rows in seen if not (parts[rows.sub.labels] == part).any()]
        assert choosers
        assert all(not classes & set(rows.sub.labels) for rows in choosers)
    if kind == "far":
        # A new super-class is judged by rules that saw no other of its fold's either.
        for cell in fit.cells[fit.cells["fold"] == "reference"].itertuples():
            others = (parts[table.sub.labels] != cell.part) & (table.folds != "reference")
            assert cell.n_choose == others.sum()


def test_the_promise_counts_own_classes_among_those_held_out() -> None:
    report = np.ones(6000 + 480, dtype=bool)
    counts = {}
    for kind in OWN:
        table = ScoreTable(with_own(kind, shift=0.8))
        found = cross_fitted_promise(table, parts_of(), report, ["knn"])
        counts[kind] = (found.hidden_super, found.hidden_sub)
    assert counts == {
        "near": (N_SUPER, N_SUB + 6),
        "far": (N_SUPER + 6, N_SUB),
        "unlabelled": (N_SUPER, N_SUB + 6),
    }
