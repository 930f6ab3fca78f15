"""Claims about promises: means counted by hand, intervals that cover simulated new classes."""

import numpy as np
import pandas as pd
import pytest

from hierclf.rules.figures import DEFAULT_MIX, Mix
from hierclf.rules.promise import cross_fitted_promise, margins_of, promise
from hierclf.rules.rule import PAPER_RULE, evaluate_rule
from hierclf.rules.score_table import ScoreTable
from tests.drawn_tables import NOISE, PARTS, draw_table


def world(rng: np.random.Generator, supers: list[float], near: float = 0.0) -> pd.DataFrame:
    """Rows whose margin stands in `margin`: known ones below 0, new classes at their places."""
    parts = []
    for c in range(20):
        parts.append(frame(c % 3, c, (True, True), rng.normal(-1.5, 1.0, 30)))
    for c in range(20, 40):
        parts.append(frame(c % 3, c, (True, False), rng.normal(near + rng.normal(0, 0.5), 1, 30)))
    for c, place in enumerate(supers):
        parts.append(frame(10 + c, 50 + c, (False, False), rng.normal(place, 1.0, 200)))
    return pd.concat(parts, ignore_index=True)


def frame(sup: int, sub: int, known: tuple[bool, bool], margin: np.ndarray) -> pd.DataFrame:
    columns = {"super_label": sup, "sub_label": sub, "super_pred": sup, "sub_pred": sub}
    columns |= {"super_known": known[0], "sub_known": known[1]}
    return pd.DataFrame({**columns, "super_margin": margin, "sub_margin": margin})


def test_known_and_near_figures_are_the_means_counted_by_hand() -> None:
    table = world(np.random.default_rng(0), [3.0, 4.0, 5.0])
    found = promise(ScoreTable(table), table)
    known = table[table["sub_known"]]
    near = table[table["super_known"] & ~table["sub_known"]]
    counted = {
        "super_seen_known": (known["super_margin"] <= 0).mean(),
        "sub_seen": (known["sub_margin"] <= 0).mean(),
        "super_seen_near": (near["super_margin"] <= 0).groupby(near["sub_label"]).mean().mean(),
        "sub_unseen_near": (near["sub_margin"] > 0).groupby(near["sub_label"]).mean().mean(),
    }
    for key, value in counted.items():
        figure = found[key]
        assert figure is not None
        assert figure.expected == pytest.approx(value, abs=0.01)
        assert figure.low < value < figure.high


def test_the_mix_weighs_near_and_far_and_novel_images() -> None:
    table = world(np.random.default_rng(1), [3.0, 4.0, 5.0])
    mix = Mix(near_of_seen=0.2, far_of_unseen=0.7, sub_novel=0.9)
    found = {key: f.expected for key, f in promise(ScoreTable(table), table, mix=mix).items() if f}
    assert found["super_seen"] == pytest.approx(
        0.8 * found["super_seen_known"] + 0.2 * found["super_seen_near"]
    )
    assert found["sub_unseen"] == pytest.approx(
        0.3 * found["sub_unseen_near"] + 0.7 * found["sub_unseen_far"]
    )
    assert found["sub_overall"] == pytest.approx(
        0.1 * found["sub_seen"] + 0.9 * found["sub_unseen"]
    )


def test_intervals_cover_what_new_super_classes_bring() -> None:
    """Super-classes lie where the prior says: between new sub-classes and the hidden ones."""
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        places = rng.normal(2.0, 1.0, 4)
        table = world(rng, places[:3].tolist())
        figure = promise(ScoreTable(table), table, seed=seed)["super_unseen"]
        assert figure is not None
        new = (rng.normal(places[3], 1.0, 500) > 0).mean()
        # Two points of slack: accuracies crowd at 1, where an interval ends just below.
        covered.append(figure.low - 0.02 <= new <= figure.high + 0.02)
    assert np.mean(covered) >= 0.8


def test_an_interval_reaches_what_the_hidden_super_classes_at_hand_give() -> None:
    """Where all of them are found alike, the model alone expects less of several new ones."""
    table = world(np.random.default_rng(2), [2.5] * 8)
    far = table[~table["super_known"]]
    found = (far["super_margin"] > 0).groupby(far["super_label"]).mean()
    figure = promise(ScoreTable(table), table, mix=Mix(new_super_classes=8))["super_unseen"]
    assert figure is not None
    assert figure.expected < found.mean() < figure.high


def test_new_super_classes_that_are_nearly_all_found_are_promised_without_bias() -> None:
    promised, found = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        places = rng.normal(3.0, 0.7, 6)
        table = world(rng, places[:5].tolist())
        figure = promise(ScoreTable(table), table, seed=seed)["sub_unseen_far"]
        assert figure is not None
        promised.append(figure.expected)
        found.append((rng.normal(places[5], 1.0, 500) > 0).mean())
        assert figure.low < 0.95  # the interval remains that of five classes
    assert np.mean(found) > 0.98
    assert np.mean(promised) == pytest.approx(np.mean(found), abs=0.015)


def test_fewer_hidden_super_classes_make_a_wider_interval() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for n in (3, 40):
        table = world(rng, rng.normal(2.0, 1.0, n).tolist())
        figure = promise(ScoreTable(table), table)["super_unseen"]
        assert figure is not None
        widths.append(figure.high - figure.low)
    many = promise(ScoreTable(table), table, mix=Mix(new_super_classes=20))["super_unseen"]
    assert many is not None
    assert widths[0] > widths[1] > many.high - many.low


def test_without_hidden_super_classes_nothing_is_promised_of_them() -> None:
    table = world(np.random.default_rng(4), [])
    found = promise(ScoreTable(table), table)
    assert found["super_unseen"] is found["super_harmonic"] is found["sub_unseen_far"] is None
    assert found["sub_unseen"] == found["sub_unseen_near"]


def test_a_cross_fitted_promise_is_below_what_the_rule_reaches_on_its_own_classes() -> None:
    table = draw_table(3000)
    names, report = list(NOISE), np.ones(len(table), bool)
    found = cross_fitted_promise(ScoreTable(table), PARTS, report, names)
    assert (found.hidden_super, found.hidden_sub) == (3, 24)
    figure = found.figures["super_unseen"]
    assert figure is not None
    assert 0.0 < figure.low < figure.expected < figure.high <= 1.0


def test_rows_that_may_not_report_are_in_no_figure() -> None:
    table = draw_table(2000)
    report = (table["fold"] != "sub0").to_numpy()
    found = cross_fitted_promise(ScoreTable(table), PARTS, report, ["knn"])
    assert set(found.rows.folds) == set(table["fold"]) - {"sub0"}
    with pytest.raises(ValueError, match="needs rows that may report, but got none"):
        cross_fitted_promise(ScoreTable(table), PARTS, np.zeros(len(table), bool), ["knn"])


def test_the_papers_margins_are_its_decisions() -> None:
    table = ScoreTable(draw_table(2000))
    found = promise(table, margins_of(table, PAPER_RULE), mix=DEFAULT_MIX)
    seen = evaluate_rule(table, PAPER_RULE)["sub_seen"]
    figure = found["sub_seen"]
    assert figure is not None
    assert figure.expected == pytest.approx(seen, abs=0.01)


def test_bad_coverage_is_refused_in_one_line() -> None:
    table = world(np.random.default_rng(5), [3.0])
    with pytest.raises(ValueError, match="`0 < coverage < 1` must hold, but got coverage=90"):
        promise(ScoreTable(table), table, coverage=90)
