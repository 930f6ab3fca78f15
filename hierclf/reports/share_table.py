"""Shares of novel images among unlabelled ones, for a terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hierclf.hierarchy import LEVELS, Level
from hierclf.metrics.text import percent
from hierclf.rules.shares import Shares


def share_table(
    shares: Shares, before: Mapping[Level, float], after: Mapping[Level, float]
) -> Table:
    """One row per level, in per cent.

    Args:
        shares: the estimate.
        before, after: the share of the images that the former rule and the chosen one call novel;
            empty where there is no rule.
    """
    table = Table(title="novel images, in %", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("level", no_wrap=True)
    for title in ("estimated share", "90 % interval", "called novel before", "after"):
        table.add_column(title, justify="right", no_wrap=True)
    for level in LEVELS:
        share = shares.super if level == "super" else shares.sub
        table.add_row(
            f"{level}-class",
            percent(None if share is None else share.expected),
            "-" if share is None else f"{100 * share.low:.0f} to {100 * share.high:.0f}",
            percent(before.get(level)),
            percent(after.get(level)),
        )
    return table
