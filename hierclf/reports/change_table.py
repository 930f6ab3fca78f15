"""What to expect before and after a change of a model, side by side, for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hierclf.rules.figures import Figure, Promise

CHANGE_ROWS = {
    "super_seen": "super-class, known",
    "super_unseen": "  new: novel",
    "super_harmonic": "  harmonic mean",
    "sub_seen": "sub-class, known",
    "sub_unseen": "  new: novel",
    "sub_harmonic": "  harmonic mean",
}
"""Figures of a promise in the order of the table, and what their images are of."""


def change_table(before: Promise, after: Promise) -> Table:
    """Expected accuracy in per cent with its 90 % interval, before and after, and the difference.

    Args:
        before, after: as `hierclf.rules.promise.promise` gives them.
    """
    table = Table(
        title="expected on new images, in %", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("images of", no_wrap=True)
    for title in ("before", "after"):
        table.add_column(f"{title} (90 % interval)", justify="right", no_wrap=True)
    table.add_column("change", justify="right", no_wrap=True)
    for key, title in CHANGE_ROWS.items():
        first, second = before[key], after[key]
        change = "-"
        if first is not None and second is not None:
            change = f"{100 * (second.expected - first.expected):+.1f}"
        end = key == "super_harmonic"
        table.add_row(title, _figure(first), _figure(second), change, end_section=end)
    return table


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    expected, low, high = (100 * value for value in figure)
    return f"{expected:.1f} ({low:.0f} to {high:.0f})"
