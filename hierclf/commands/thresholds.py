"""What `hierclf thresholds` does: other thresholds for a trained model, for a goal or as given.

The rule is chosen on the model directory's score table. What to expect of it is cross-fitted: each
row is judged by a rule that was chosen, in the same way, without its class.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from hierclf.bundle.directory import Card, load_card
from hierclf.bundle.rule_file import FORMER_RULE_FILE, load_rule, save_rule
from hierclf.bundle.score_table_file import load_score_table
from hierclf.hierarchy import LEVELS
from hierclf.io.locks import lock_now, owner_in
from hierclf.rules.calibration import Calibration, calibrate_rule
from hierclf.rules.choose import choose_rule
from hierclf.rules.figures import Mix
from hierclf.rules.goals import BALANCED, Goal
from hierclf.rules.movable import movable_rule
from hierclf.rules.promise import Promised, cross_fitted_promise
from hierclf.rules.rule import Rule
from hierclf.rules.score_table import ScoreTable

_RUN_LOCK = ".lock"  # of a search, in the folder of its run


class Choice(NamedTuple):
    """A rule for a goal, and what to expect of it.

    Attributes:
        goal: what the rule was chosen for; the balanced one for thresholds of the user's own.
        rule: chosen on the whole table, or with the user's own thresholds.
        calibration: that goes with it; None if the model had none.
        before: the rule in the model directory; None if it had none.
        expected: cross-fitted.
    """

    goal: Goal
    rule: Rule
    calibration: Calibration | None
    before: Rule | None
    expected: Promised

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: `goal`, `thresholds`, `before`, and `expected` by the figure's name.

        A figure is `expected`, `low` and `high` in [0, 1], or None where it cannot be judged.
        """
        return {
            "goal": asdict(self.goal),
            "thresholds": self.rule.to_dict(),
            "before": None if self.before is None else self.before.to_dict(),
            "expected": {
                key: None if figure is None else figure._asdict()
                for key, figure in self.expected.figures.items()
            },
        }


def choose_thresholds(directory: Path, goal: Goal, *, mix: Mix | None = None) -> Choice:
    """Choose the rule that serves a goal best on a model directory's score table. Writes nothing.

    Args:
        directory: a model directory.
        goal: what to serve.
        mix: what images to expect; None takes the goal's share of novel ones.

    Raises:
        ValueError: what `load_score_table` raises, or a goal that no threshold reaches, on all rows
            or without some of the classes.
    """
    card = load_card(directory)
    table, parts, report = load_score_table(directory)
    rule, _ = choose_rule(table, card.scores, goal=goal)
    if mix is None:
        novel = 0.5 if goal.novel_rate is None else goal.novel_rate
        mix = Mix(super_novel=novel, sub_novel=novel)
    try:
        expected = cross_fitted_promise(table, parts, report, card.scores, goal=goal, mix=mix)
    except ValueError as error:
        raise ValueError(f"the estimate leaves some classes out, and then {error}") from None
    return Choice(goal, rule, _calibration(card, table, rule), card.rule, expected)


def check_not_in_use(
    directory: Path, *, instead: str = "--dry-run shows what would be chosen"
) -> None:
    """Refuse a model whose search is at work: it would register these thresholds as its own.

    Args:
        directory: a model directory.
        instead: what the error says can be done.

    Raises:
        ValueError: another process has the lock of the run that the model directory lies in.
    """
    run = directory.resolve().parent
    if not (run / _RUN_LOCK).is_file():
        return
    with (run / _RUN_LOCK).open(encoding="utf-8") as file:
        try:
            if lock_now(file):
                return
        except OSError:  # a file system without locks
            return
        raise ValueError(
            f"a model's thresholds must stay until its search ends, but {run} is in use by "
            f"{owner_in(file) or 'another process'}; {instead}"
        )


def move_thresholds(directory: Path, super_tau: float, sub_tau: float) -> Choice:
    """Thresholds of the user's own, on the scores that `choose_thresholds` would use.

    Expected is what `hierclf.rules.moved` says of the balanced thresholds moved to these. Writes
    nothing.

    Raises:
        ValueError: what `load_score_table` raises, or a threshold that is not finite.
    """
    card = load_card(directory)
    table, parts, report = load_score_table(directory)
    movable = movable_rule(table, parts, report, card.scores)
    rule = movable.rule(super_tau, sub_tau)
    expected = movable.fitted._replace(figures=movable.promise(rule))
    return Choice(BALANCED, rule, _calibration(card, table, rule), card.rule, expected)


def undo_thresholds(directory: Path) -> Rule:
    """Put back the thresholds that the last change replaced; a second call brings them back.

    Returns:
        The rule that the model directory has now.

    Raises:
        ValueError: no former thresholds, or ones that are malformed.
    """
    card = load_card(directory)
    former = load_rule(directory, card.scores, name=FORMER_RULE_FILE)
    if former.rule is None:
        raise ValueError(
            f"--undo needs the thresholds before the last change, but {directory} has no "
            f"{FORMER_RULE_FILE}: they were never changed"
        )
    save_rule(directory, former.rule, former.calibration)
    return former.rule


def choice_notes(choice: Choice) -> list[str]:
    """What the table of figures does not show: the rule in words, and the goal's own figure."""
    rule, goal = choice.rule, choice.goal
    notes = [rule_in_words(rule)]
    figures = choice.expected.figures
    for level in LEVELS:
        seen, overall = figures[f"{level}_seen"], figures[f"{level}_overall"]
        novel_rate = goal.at(level).novel_rate
        if novel_rate is not None and overall is not None:
            notes.append(
                f"{level} overall where {100 * novel_rate:.3g} % of the images are novel: "
                f"{100 * overall.expected:.1f} % expected, {100 * overall.low:.0f} to "
                f"{100 * overall.high:.0f} %"
            )
        if goal.seen is not None and seen is not None and seen.expected < goal.seen:
            notes.append(
                f"{level} seen is reached on the classes that choose; on others it is expected to "
                f"be {100 * seen.expected:.1f} %, below {100 * goal.seen:g} %: for a margin, ask "
                "for more"
            )
    return notes


def rule_in_words(rule: Rule) -> str:
    """The rule in one line."""
    return (
        f"{rule.super.score} > {rule.super.tau:.6g} is a novel super-class, "
        f"{rule.sub.score} > {rule.sub.tau:.6g} a novel sub-class"
    )


def _calibration(card: Card, table: ScoreTable, rule: Rule) -> Calibration | None:
    """Curves for the rule's scores; the network's temperatures stay."""
    if card.calibration is None:
        return None
    temperatures = {level: card.calibration[level].temperature for level in LEVELS}
    return calibrate_rule(table, rule, temperatures=temperatures)
