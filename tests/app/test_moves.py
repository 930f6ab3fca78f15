"""Thresholds of the page are those of `hierclf thresholds`, and so are their figures."""

import shlex
from pathlib import Path

import pytest

from hierclf.app.moves import read_moves
from hierclf.commands.thresholds import choose_thresholds, move_thresholds
from hierclf.hierarchy import LEVELS
from hierclf.model import load
from hierclf.rules.goals import BALANCED
from hierclf.rules.rule import LevelRule, Rule
from tests.commands_run import run
from tests.tiny_models import save_tiny_model


@pytest.fixture
def chosen(directory: Path) -> Path:
    """The model with the thresholds that `hierclf thresholds` chooses."""
    run("thresholds", directory)
    return directory


def test_figures_are_those_that_the_command_expects(chosen: Path) -> None:
    moves = read_moves(load(chosen, device="cpu"), chosen)
    for by in (0.0, 0.05, -0.1):
        taus = [moves.deployed[level].tau + by for level in LEVELS]
        moved = moves.to(*taus)
        assert moves.promise(moved) == move_thresholds(chosen, *taus).expected.figures
    assert moves.promise(moves.model) != moves.promise(moved)


def test_the_command_deploys_the_thresholds_that_it_stands_below(chosen: Path) -> None:
    moves = read_moves(load(chosen, device="cpu"), chosen)
    moved = moves.to(moves.ranges["super"].high, moves.ranges["sub"].start)
    program, *words = shlex.split(moves.command(moved))
    assert program == "hierclf"
    run(*words)
    deployed, wanted = load(chosen, device="cpu").thresholds, moved.thresholds
    assert deployed is not None
    assert wanted is not None
    for level in LEVELS:
        assert deployed[level].score == wanted[level].score
        assert deployed[level].tau == pytest.approx(wanted[level].tau, rel=1e-7)


def test_a_sliders_start_stands_for_the_deployed_threshold(chosen: Path) -> None:
    moves = read_moves(load(chosen, device="cpu"), chosen)
    starts = [moves.ranges[level].start for level in LEVELS]
    assert moves.to(*starts).thresholds == moves.deployed
    for level in LEVELS:
        place = moves.ranges[level]
        assert abs(place.start - moves.deployed[level].tau) <= place.step / 2
        assert place.low < place.start < place.high
        beside = {**dict(zip(LEVELS, starts, strict=True)), level: place.start + place.step}
        assert moves.to(beside["super"], beside["sub"]).thresholds != moves.deployed


def test_thresholds_move_without_a_score_table_too_and_the_reason_is_said(directory: Path) -> None:
    (directory / "score_table.parquet").unlink()
    moves = read_moves(load(directory, device="cpu"), directory)
    assert "score_table.parquet" in moves.missing
    assert moves.promise(moves.model) is None
    assert moves.to(0.5, 0.5).thresholds != moves.deployed


def test_no_figures_are_shown_for_scores_that_the_command_would_replace(tmp_path: Path) -> None:
    rule = Rule(LevelRule("msp", 0.3), LevelRule("knn", 0.5))
    save_tiny_model(tmp_path / "model", rule)
    assert choose_thresholds(tmp_path / "model", BALANCED).rule.super.score != "msp"
    moves = read_moves(load(tmp_path / "model", device="cpu"), tmp_path / "model")
    assert moves.promise(moves.model) is None
    assert "other scores" in moves.missing
