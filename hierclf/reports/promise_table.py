"""What to expect on new images and new classes, as a table and in words, for a terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hierclf.counts import counted
from hierclf.metrics.text import percent
from hierclf.rules.figures import DEFAULT_MIX, Figure, Mix, Promise

PROMISE_ROWS = {
    "super_seen_known": "super-class, known sub-class",
    "super_seen_near": "  new sub-class of a known one",
    "super_unseen": "  new super-class: novel",
    "super_harmonic": "  harmonic mean",
    "sub_seen": "sub-class, known",
    "sub_unseen_near": "  new, known super-class: novel",
    "sub_unseen_far": "  new, new super-class: novel",
    "sub_harmonic": "  harmonic mean",
}
"""Figures of a promise in the order of its tables, and what their images are of."""


def promise_table(promise: Promise, others: Mapping[str, Promise] | None = None) -> Table:
    """Expected accuracy in per cent with its 90 % interval, one row per kind of image.

    Args:
        promise: as `hierclf.rules.promise.promise` gives it.
        others: more promises by title, shown without intervals.
    """
    table = Table(
        title="expected on new images, in %", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("images of", no_wrap=True)
    table.add_column("right", justify="right", no_wrap=True)
    table.add_column("90 % interval", justify="right", no_wrap=True)
    for title in others or {}:
        table.add_column(title, justify="right")
    for key, title in PROMISE_ROWS.items():
        figure = promise[key]
        ends = "-" if figure is None else f"{100 * figure.low:.0f} to {100 * figure.high:.0f}"
        more = [_expected(other[key]) for other in (others or {}).values()]
        table.add_row(title, _expected(figure), ends, *more, end_section=key == "super_harmonic")
    return table


def promise_notes(hidden_super: int, hidden_sub: int, mix: Mix = DEFAULT_MIX) -> list[str]:
    """Why the intervals are as wide as they are, one sentence per line."""
    subs = counted(hidden_sub, "sub-class", "sub-classes")
    supers = counted(hidden_super, "super-class", "super-classes")
    notes = [
        f"{subs} and {supers} could be held out to learn from; none of them "
        "judges a rule that it chose"
    ]
    if hidden_super:
        notes.append(
            "the intervals of novel super-classes are for one new super-class"
            + (": with so few to learn from they are wide" if hidden_super < 10 else "")
            + f"; those of new sub-classes are for {mix.new_sub_classes} of them together"
        )
    else:
        notes.append(
            "no super-class could be held out (that takes three): super_tau never says novel, and "
            "nothing is known of new super-classes"
        )
    return notes


def _expected(figure: Figure | None) -> str:
    return percent(None if figure is None else figure.expected)
