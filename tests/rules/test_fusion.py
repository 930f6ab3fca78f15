"""Claims about fitted sums of scores, against scikit-learn and counted by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from hierclf.rules.exact import best_rule
from hierclf.rules.fusion import best_combination, best_singles, candidates, fit_sum
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep
from hierclf.scores.sums import parse_score
from tests.drawn_tables import NOISE, draw_table

NAMES = tuple(NOISE)


def area_under(table: pd.DataFrame, level: str, text: str) -> float:
    rows = ScoreTable(table)[level]
    return sweep(ScoreTable(table).score(level, text), rows.right, rows.known).best().value


def test_a_fitted_sum_points_where_sklearns_regression_does() -> None:
    table = draw_table(4000)
    names = ("energy", "knn")
    known = table["sub_known"].to_numpy()
    columns = np.stack([table[f"sub_{name}"] for name in names], axis=1).astype(float)
    spread = columns[known].std(axis=0)
    # Weak regularisation on both sides; each of the two kinds of rows weighs one half.
    model = LogisticRegression(C=1.0, class_weight="balanced").fit(columns / spread, ~known)
    weights = {
        name: weight for weight, name in parse_score(fit_sum(ScoreTable(table), "sub", names))
    }
    ours = np.array([weights[name] for name in names]) * spread
    cosine = ours @ model.coef_[0] / np.linalg.norm(ours) / np.linalg.norm(model.coef_[0])
    assert cosine > 0.99


def test_a_score_that_falls_with_novelty_has_no_part_in_a_sum() -> None:
    table = draw_table(2000)
    table["sub_wrong"] = -table["sub_knn"]
    names = [name for _, name in parse_score(fit_sum(ScoreTable(table), "sub", ("knn", "wrong")))]
    assert names == ["knn"]


def test_scores_without_spread_or_without_any_use_leave_the_first_name() -> None:
    table = draw_table(500)
    table["sub_flat"] = 1.0
    table["sub_wrong"] = -table["sub_knn"]
    assert fit_sum(ScoreTable(table), "sub", ("flat",)) == "flat"
    assert fit_sum(ScoreTable(table), "sub", ("wrong", "flat")) == "wrong"


def test_a_sum_has_no_more_terms_than_asked_for() -> None:
    table = draw_table(2000)
    every = [*NAMES, *(f"super.{name}" for name in NAMES)]
    assert len(parse_score(fit_sum(ScoreTable(table), "sub", every, max_terms=2))) <= 2


def test_complementary_scores_do_better_together_than_the_best_alone() -> None:
    table = draw_table(4000)
    rng = np.random.default_rng(1)
    novel = ~table["sub_known"].to_numpy()
    for name in ("a", "b"):  # independent glimpses of the same thing
        table[f"sub_{name}"] = novel + 0.8 * rng.normal(size=len(table))
    text = fit_sum(ScoreTable(table), "sub", ("a", "b"))
    assert area_under(table, "sub", text) > area_under(table, "sub", "a") + 0.05


def test_a_head_may_use_its_best_singles_and_a_sum_that_looks_at_both_heads() -> None:
    table = draw_table(3000)
    found = candidates(ScoreTable(table), NAMES)
    for level in ("super", "sub"):
        alone = sorted(NAMES, key=lambda name: -area_under(table, level, name))
        assert found[level][:3] == alone[:3]
        assert len(found[level]) == 4
    everything = " ".join(found["super"][3:] + found["sub"][3:])
    assert "sub." in everything or "super." in everything


def test_a_combination_is_at_least_as_good_as_the_best_singles_on_the_rows_that_choose() -> None:
    table = draw_table(3000)
    singles, both = (
        best_singles(ScoreTable(table), NAMES),
        best_combination(ScoreTable(table), NAMES),
    )
    assert best_rule(ScoreTable(table), NAMES).value >= singles.value
    assert both.value >= singles.value


def test_a_level_without_novel_rows_takes_the_first_name() -> None:
    table = draw_table(800)
    table = table[table["super_known"]].reset_index(drop=True)
    assert candidates(ScoreTable(table), NAMES)["super"] == ["msp"]


@pytest.mark.parametrize(("names", "terms"), [((), 4), (("knn",), 0)])
def test_a_sum_of_nothing_is_refused(names: tuple[str, ...], terms: int) -> None:
    with pytest.raises(ValueError, match="a sum needs names and max_terms >= 1, but got"):
        fit_sum(ScoreTable(draw_table(100)), "sub", names, max_terms=terms)


def test_a_sum_without_novel_rows_is_refused() -> None:
    table = draw_table(800)
    with pytest.raises(ValueError, match="known and novel rows at the sub level"):
        fit_sum(ScoreTable(table[table["sub_known"]]), "sub", ("knn",))
