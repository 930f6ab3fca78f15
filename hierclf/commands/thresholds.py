"""What `hierclf thresholds` does: other thresholds for a trained model, under a goal of the user's.

The rule is chosen on the model directory's score table. What it is expected to do is estimated by
cross-fitting: each row is judged by a rule that was chosen, in the same way, without its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from hierclf.bundle.directory import Card, load_card
from hierclf.bundle.score_table_file import StoredTable, load_score_table
from hierclf.hierarchy import LEVELS
from hierclf.metrics.accuracy import (
    PARTS,
    constant_answers,
    six_accuracies,
)
from hierclf.metrics.bootstrap import Interval, accuracy_intervals
from hierclf.rules.calibration import Calibration, calibrate_rule
from hierclf.rules.cross_fit import cross_fit
from hierclf.rules.exact import BestRule
from hierclf.rules.fusion import best_combination
from hierclf.rules.goals import Goal
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import Classes, ScoreTable

_KEYS = tuple(f"{level}_{part}" for level in LEVELS for part in (*PARTS, "harmonic"))


class Choice(NamedTuple):
    """A rule for a goal, and what to expect of it; accuracies in [0, 1], None without rows.

    Attributes:
        rule: chosen on the whole table.
        calibration: that goes with it; None if the model had none.
        before: the rule in the model directory; None if it had none.
        expected: the six accuracies and harmonic means, cross-fitted.
        intervals: 95 % intervals of `expected` over sub-classes, by the same keys.
        always_novel, never_novel: the constant answers on the same rows.
    """

    goal: Goal
    rule: Rule
    calibration: Calibration | None
    before: Rule | None
    expected: dict[str, float | None]
    intervals: dict[str, Interval | None]
    always_novel: dict[str, float | None]
    never_novel: dict[str, float | None]


def choose_thresholds(directory: Path, goal: Goal, *, seed: int = 0) -> Choice:
    """Choose the rule that serves a goal best on a model directory's score table.

    Candidates are the model's single scores and a weighted sum of them for each head, fitted anew
    wherever some classes must not choose (see `combine`). Writes nothing.

    Args:
        seed: of the bootstrap.

    Raises:
        ValueError: what `load_score_table` raises, or a goal that no tau reaches, on all rows or
            without some of the classes.
    """
    card = load_card(directory)
    stored = load_score_table(directory)
    rule, _ = best_combination(stored.table, card.scores, goal=goal)
    rows, answers = _judged_by_others(stored, card.scores, goal)
    return Choice(
        goal=goal,
        rule=rule,
        calibration=_calibration(card, stored.table, rule),
        before=card.rule,
        expected=six_accuracies(*rows.targets, *answers),
        intervals=accuracy_intervals(rows.sub.labels, *rows.targets, *answers, seed=seed),
        **constant_answers(*rows.targets, *rows.predictions),
    )


def choice_table(choice: Choice) -> Table:
    """The expected accuracies in per cent beside the two constant answers, for a terminal."""
    table = Table()
    table.add_column("accuracy, %")
    for title in ("expected", "95 % interval", "always novel", "never novel"):
        table.add_column(title, justify="right")
    for key in _KEYS:
        interval = choice.intervals[key]
        between = "-" if interval is None else " to ".join(map(_percent, interval))
        figures = (choice.expected, choice.always_novel, choice.never_novel)
        expected, always, never = (_percent(accuracies[key]) for accuracies in figures)
        cells = (key.replace("_", " "), expected, between, always, never)
        table.add_row(*cells, end_section=key.endswith("harmonic"))
    return table


def choice_notes(choice: Choice) -> list[str]:
    """What does not stand in the table: the rule in words, and what limits the estimate."""
    rule, goal = choice.rule, choice.goal
    notes = [
        f"{rule.super.score} > {rule.super.tau:.6g} is a novel super-class, "
        f"{rule.sub.score} > {rule.sub.tau:.6g} a novel sub-class",
        "expected: on classes that did not choose; intervals: by drawing sub-classes again",
    ]
    for level in LEVELS:
        seen, unseen = choice.expected[f"{level}_seen"], choice.expected[f"{level}_unseen"]
        if seen is None or unseen is None:
            continue
        if goal.novel_rate is not None:
            notes.append(
                f"{level} overall where {100 * goal.novel_rate:g} % of the images are novel: "
                f"{_percent(float(goal.value(seen, unseen)))} % expected"
            )
        if goal.seen is not None and seen < goal.seen:
            notes.append(
                f"{level} seen is reached on the classes that choose; on others it is expected to "
                f"be {_percent(seen)} %, below {100 * goal.seen:g} %: for a margin, ask for more"
            )
    return notes


def _calibration(card: Card, table: ScoreTable, rule: Rule) -> Calibration | None:
    """Curves for the rule's scores; the network's temperatures stay."""
    if card.calibration is None:
        return None
    temperatures = {level: card.calibration[level].temperature for level in LEVELS}
    return calibrate_rule(table, rule, temperatures=temperatures)


def _judged_by_others(
    stored: StoredTable, scores: Sequence[str], goal: Goal
) -> tuple[ScoreTable, Classes]:
    """The rows that may report, and answers of rules that their classes did not choose."""
    table, parts, report = stored
    if not report.any():
        raise ValueError("a score table needs rows that may report, but got none")
    folds = sorted(set(table.folds[report]))

    def choose(rows: ScoreTable, scores: Sequence[str]) -> BestRule:
        try:
            return best_combination(rows, scores, goal=goal)
        except ValueError as error:
            raise ValueError(f"the estimate leaves some classes out, and then {error}") from None

    fitted = cross_fit(table, parts, scores, folds, choose=choose).predictions
    judged = fitted[report[fitted.index.to_numpy()]]
    answers = Classes(judged["pred_super"].to_numpy(), judged["pred_sub"].to_numpy())
    return table.take(judged.index), answers


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
