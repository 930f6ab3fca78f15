"""A model card: what a model knows, what to expect of it and how to use it, in Markdown."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from hierclf.counts import counted
from hierclf.errors import visible
from hierclf.hierarchy import Hierarchy
from hierclf.metrics.text import percent
from hierclf.reports.promise_table import PROMISE_ROWS
from hierclf.rules.figures import Promise
from hierclf.rules.rule import Rule

_NAMES = 20
"""The most super-classes that are named."""
_NAME_LENGTH = 40
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~&])")


class Facts(NamedTuple):
    """What a card says of a model.

    Attributes:
        data: name of the data set; None if it is not known.
        n_images: how many labelled images it has; None if that is not known.
        hierarchy: the known classes.
        network: such as "tf_efficientnet_lite2 at 260 px".
        rule: the model's thresholds.
        promise: what to expect of this rule; None if it is not known.
        notes: sentences about the promise.
        command: that predicts with the model.
    """

    data: str | None
    n_images: int | None
    hierarchy: Hierarchy
    network: str
    rule: Rule
    promise: Promise | None
    notes: Sequence[str]
    command: str


def model_card(facts: Facts) -> str:
    """A card of at most 4,000 characters or so: MLflow keeps 5,000. Names cannot form markup."""
    hierarchy, rule = facts.hierarchy, facts.rule
    supers = counted(hierarchy.n_super, "super-class", "super-classes")
    subs = counted(hierarchy.n_sub, "sub-class", "sub-classes")
    names = [plain_text(name) for name in hierarchy.super_names[:_NAMES]]
    more = ", ..." if hierarchy.n_super > _NAMES else ""
    lines = [
        'Classifies images at two levels; every answer may be "novel".',
        "",
        *_data(facts),
        f"- classes: {supers} ({', '.join(names)}{more}), {subs}",
        f"- network: {plain_text(facts.network)}",
        f"- novel super-class: `{rule.super.score} > {rule.super.tau:.4g}`",
        f"- novel sub-class: `{rule.sub.score} > {rule.sub.tau:.4g}`, or a novel super-class",
        "",
        *(_no_promise() if facts.promise is None else _promise(facts.promise, facts.notes)),
        "",
        "```",
        facts.command,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _data(facts: Facts) -> list[str]:
    if facts.data is None:
        return []
    images = "" if facts.n_images is None else f", {counted(facts.n_images, 'image')}"
    return [f"- data: {plain_text(facts.data)}{images}"]


def plain_text(name: str) -> str:
    """A name, shortened, with nothing in it that Markdown or HTML would take for markup."""
    short = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 3] + "..."
    return _MARKUP.sub(r"\\\1", visible(short))


def _promise(promise: Promise, notes: Sequence[str]) -> list[str]:
    rows = ["Expected on new images, in %:", "", "| images of | right | 90 % interval |"]
    rows.append("|---|---:|---:|")
    for key, title in PROMISE_ROWS.items():
        figure = promise[key]
        ends = "-" if figure is None else f"{100 * figure.low:.0f} to {100 * figure.high:.0f}"
        right = percent(None if figure is None else figure.expected)
        rows.append(f"| {title.strip()} | {right} | {ends} |")
    return [*rows, "", *(f"- {note}" for note in notes)]


def _no_promise() -> list[str]:
    return [
        "These thresholds were chosen after the search: `hierclf thresholds MODEL --dry-run` "
        "says what to expect of thresholds for a goal."
    ]
