"""Claims about `hierclf thresholds` with thresholds of one's own."""

from pathlib import Path

import numpy as np
import pytest

from hierclf.bundle.directory import load_card
from hierclf.commands.thresholds import move_thresholds
from hierclf.rules.choose import choose_rule
from hierclf.rules.promise import cross_fitted_promise
from hierclf.rules.score_table import ScoreTable
from tests.commands_run import error_of, run
from tests.tiny_models import save_tiny_model, tiny_table

SINGLE = ("msp", "knn")
TINY_PARTS = np.array([0, 1, 0, 1])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


def test_thresholds_of_ones_own_are_deployed_with_what_to_expect_of_them(model: Path) -> None:
    table, everything = ScoreTable(tiny_table()), np.ones(600, bool)
    start = choose_rule(table, SINGLE).rule
    stay = move_thresholds(model, start.super.tau, start.sub.tau)
    fitted = cross_fitted_promise(table, TINY_PARTS, everything, SINGLE)
    assert stay.expected.figures == fitted.figures
    wider = move_thresholds(model, start.super.tau + 0.1, start.sub.tau + 0.1).expected.figures
    for key in ("super_seen", "sub_seen"):
        assert wider[key] > fitted.figures[key]  # type: ignore[operator]
    for key in ("super_unseen", "sub_unseen"):
        assert wider[key] < fitted.figures[key]  # type: ignore[operator]
    said = run("thresholds", model, "--super-tau=-0.25", "--sub-tau=1.5").stdout
    assert f"{start.super.score} > -0.25 is a novel super-class" in said
    rule = load_card(model).rule
    assert rule is not None
    assert (rule.super.tau, rule.sub.tau) == (-0.25, 1.5)
    assert (rule.super.score, rule.sub.score) == (start.super.score, start.sub.score)


@pytest.mark.parametrize(
    "words",
    [
        ["--super-tau=1"],
        ["--sub-tau=1"],
        ["--super-tau=1", "--sub-tau=1", "--goal", "overall", "--novel-rate=0.5"],
    ],
)
def test_a_threshold_alone_or_beside_a_goal_is_refused(model: Path, words: list[str]) -> None:
    assert "must be given together and without --goal" in error_of("thresholds", model, *words)
    assert "`super_tau` must be a finite number" in error_of(
        "thresholds", model, "--super-tau=nan", "--sub-tau=1"
    )
