"""Compare other values of a configuration with those it has, on new classes, world by world.

Every variant sees the same worlds (see `worlds`) as the configuration as it is: the same known and
new classes, folds and test images, also where its backbone is another. A gain is a difference of
accuracies found, paired by world.

Shape legend: W worlds.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from hierclf.benchmark.new_classes import world_rows
from hierclf.benchmark.worlds import regrouped
from hierclf.config import Config
from hierclf.progress import progress
from hierclf.scores.one_thread import one_thread
from hierclf.training.prepare import Prepared

AS_IT_IS = "as it is"
_SHOWN = {
    "super_harmonic": "super H",
    "sub_harmonic": "sub H",
    "sub_seen": "sub seen",
    "sub_unseen_near": "near",
    "sub_unseen_far": "far",
}


class Variant(NamedTuple):
    """A configuration with its images and features; the folds are drawn by world."""

    config: Config
    prepared: Prepared


def run_variants(
    variants: Mapping[str, Variant], groups: NDArray[np.int64], worlds: Iterable[int]
) -> pd.DataFrame:
    """Run every variant in every world, one after another.

    Args:
        variants: by title, the configuration as it is first.
        groups: int64 [C], the group of each sub-class, the same for all.
        worlds: their numbers.

    Returns:
        The rows of `world_rows` with the columns `variant` and `seconds`, which training the folds,
        fitting scores and choosing the rule took.

    Raises:
        ValueError: what `in_same_worlds` raises.
    """
    own, rows, numbers = in_same_worlds(variants, groups), [], list(worlds)
    with one_thread(), progress("worlds") as step:
        for done, world in enumerate(numbers, 1):
            for title, variant in variants.items():
                start = time.perf_counter()
                found = world_rows(variant.config, own[title], world)
                seconds = time.perf_counter() - start
                rows += [row | {"variant": title, "seconds": seconds} for row in found]
            step(done, len(numbers))
    return pd.DataFrame(rows)


def in_same_worlds(
    variants: Mapping[str, Variant], groups: NDArray[np.int64]
) -> dict[str, Prepared]:
    """Regroup the classes of every variant, and keep together the near-copies of the first.

    Near-copies are found by features: those of another backbone would draw other test images.

    Raises:
        ValueError: a variant has other images or classes than the first.
    """
    first = next(iter(variants.values())).prepared.cache
    own = {}
    for title, variant in variants.items():
        cache = variant.prepared.cache
        if cache.names != first.names or (cache.sub_labels != first.sub_labels).any():
            raise ValueError(f"variants must have the same images and classes, but {title} has not")
        cache = replace(regrouped(cache, groups), groups=first.groups)
        own[title] = variant.prepared._replace(cache=cache)
    return own


def gains(rows: pd.DataFrame, *, coverage: float = 0.9) -> pd.DataFrame:
    """The gain of each variant over the configuration as it is, in each figure shown.

    Args:
        rows: as `run_variants` gives them.
        coverage: in (0, 1), of the interval.

    Returns:
        variant, figure, mean, low and high, in [-1, 1], and worlds: the mean over W worlds with
        Student's t interval; infinite with one world.
    """
    table = rows.pivot_table(index=["figure", "world"], columns="variant", values="found")
    found = []
    for title in [t for t in rows["variant"].unique() if t != AS_IT_IS]:
        for figure in _SHOWN:
            if figure not in table.index:
                continue
            change = (table.loc[figure, title] - table.loc[figure, AS_IT_IS]).dropna()
            n, mean = len(change), float(change.mean())
            half = float("inf")
            if n > 1:
                half = stats.t.ppf(0.5 + coverage / 2.0, n - 1) * change.std(ddof=1) / n**0.5
            found.append((title, figure, mean, mean - half, mean + half, n))
    return pd.DataFrame(found, columns=["variant", "figure", "mean", "low", "high", "worlds"])


def report(rows: pd.DataFrame) -> str:
    """The gains as Markdown, in points, and the time beside that of the configuration as it is."""
    found = gains(rows)
    titles = list(_SHOWN.values())
    lines = [
        f"| variant | {' | '.join(titles)} | time |",
        "|---|" + "---:|" * (len(titles) + 1),
    ]
    spent = rows.groupby("variant")["seconds"].mean()
    for title in found["variant"].unique():
        own = found[found["variant"] == title].set_index("figure")
        cells = []
        for figure in _SHOWN:
            if figure not in own.index:
                cells.append("")
                continue
            mean, low, high = 100.0 * own.loc[figure, ["mean", "low", "high"]].astype(float)
            # One world has no interval.
            interval = f" ({low:+.1f} to {high:+.1f})" if np.isfinite(low) else ""
            cells.append(f"{mean:+.1f}{interval}")
        ratio = spent[title] / spent[AS_IT_IS]
        lines.append(f"| {title} | {' | '.join(cells)} | {ratio:.1f} x |")
    return "\n".join(lines) + "\n"
