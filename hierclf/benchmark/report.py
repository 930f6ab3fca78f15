"""The benchmark's report: all rows as CSV, means over the seeds as Markdown, and a plot."""

from pathlib import Path

import numpy as np
import pandas as pd

from hierclf.counts import counted
from hierclf.hierarchy import LEVELS
from hierclf.io.atomic import draft_of
from hierclf.reports.style import BLUE, ORANGE, new_figure, save_figure
from hierclf.rules.normalisation import DEPLOYED

_ACCURACIES = {
    "super_harmonic": "super H",
    "super_seen": "seen",
    "super_unseen": "unseen",
    "sub_harmonic": "sub H",
    "sub_seen": "sub seen",
    "sub_unseen": "sub unseen",
    "sub_unseen_near": "near",
    "sub_unseen_far": "far",
}
_QUALITY = ("auroc", "aupr", "fpr95", "oscr")


def write_report(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Write benchmark.csv, benchmark.md and benchmark.png.

    Args:
        rows: from `run_benchmark`.
        folder: created if missing.

    Returns:
        The paths of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"benchmark.{ending}" for ending in ("csv", "md", "png")]
    with draft_of(paths[0]) as temporary:
        rows.to_csv(temporary, index=False)
    with draft_of(paths[1]) as temporary:
        temporary.write_text(markdown(rows), encoding="utf-8")
    _plot(rows, paths[2])
    return paths


def summary(rows: pd.DataFrame) -> str:
    """Harmonic means of the balanced rules as plain text: mean and spread over the seeds, in %."""
    lines = [f"{'rule':<24}{'super H':>14}{'sub H':>14}"]
    for rule, group in _by_rule(rows):
        cells = "".join(
            f"{mean_and_spread(group[k]):>14}" for k in ("super_harmonic", "sub_harmonic")
        )
        lines.append(f"{rule:<24}{cells}")
    return "\n".join(lines)


def markdown(rows: pd.DataFrame) -> str:
    """All tables in Markdown: mean and standard deviation over the seeds, in per cent."""
    judged = rows[rows["super_harmonic"].notna() | rows["sub_harmonic"].notna()]
    plain = (judged["decoding"] == "top-down") & _as_deployed(judged)
    first = judged["goal"].iloc[int((judged["goal"] != "fixed").to_numpy().argmax())]
    parts = [
        f"Mean and standard deviation over {counted(rows['seed'].nunique(), 'seed')}, in per cent; "
        "H is the harmonic mean of seen and unseen accuracy. near: novel sub-classes of known "
        "super-classes found; far: novel sub-classes of novel super-classes found.",
        _accuracy_table(judged[plain], ["rule", "goal"]),
        "Ranking of novel above known images, whatever the threshold:",
        _quality_table(judged[plain & (judged["goal"] == first)]),
        "Decodings:",
        _decoding_table(judged[_as_deployed(judged) & judged["goal"].isin([first, "fixed"])]),
        "Score normalisation across folds:",
        _accuracy_table(
            judged[
                judged["rule"].isin(_several(judged, "normalisation"))
                & (judged["goal"] == first)
                & (judged["decoding"] == "top-down")
            ],
            ["rule", "normalisation"],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _as_deployed(rows: pd.DataFrame) -> pd.Series:
    """Which rows use a search's score normalisation, or fixed thresholds."""
    return (rows["normalisation"] == DEPLOYED) | (rows["goal"] == "fixed")


def _several(rows: pd.DataFrame, key: str) -> list[str]:
    """Rules with more than one value of a key."""
    counts = rows.groupby("rule")[key].nunique()
    return list(counts.index[counts > 1])


def _main(rows: pd.DataFrame) -> pd.DataFrame:
    plain = rows[(rows["decoding"] == "top-down") & _as_deployed(rows)]
    goals = [goal for goal in plain["goal"].unique() if goal != "fixed"]
    return plain[plain["goal"].isin(["fixed", goals[0]])]


def _by_rule(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of the plot and of the summary, by rule, in order."""
    return [(str(rule), group) for rule, group in _main(rows).groupby("rule", sort=False)]


def mean_and_spread(values: pd.Series) -> str:
    """Mean and standard deviation of fractions as text, in per cent; `-` if all are missing."""
    present = 100.0 * values.dropna().astype(float)
    if present.empty:
        return "-"
    return f"{present.mean():.1f}" + (f" ± {present.std():.1f}" if len(present) > 1 else "")


def _table(rows: pd.DataFrame, by: list[str], columns: dict[str, str]) -> str:
    header = [*by, *columns.values()]
    lines = [" | ".join(header), " | ".join(["---"] * len(by) + ["---:"] * len(columns))]
    for key, group in rows.groupby(by, sort=False):
        names = key if isinstance(key, tuple) else (key,)
        lines.append(
            " | ".join([*map(str, names), *(mean_and_spread(group[name]) for name in columns)])
        )
    return "\n".join(f"| {line} |" for line in lines)


def _accuracy_table(rows: pd.DataFrame, by: list[str]) -> str:
    return _table(rows, by, _ACCURACIES)


def _quality_table(rows: pd.DataFrame) -> str:
    columns = {f"{level}_{key}": f"{level} {key}" for level in LEVELS for key in _QUALITY}
    return _table(rows[rows["super_auroc"].notna()], ["rule", "goal"], columns)


def _decoding_table(rows: pd.DataFrame) -> str:
    columns = {
        "super_harmonic": "super H",
        "sub_harmonic": "sub H",
        "super_balanced": "super balanced",
        "sub_balanced": "sub balanced",
        "consistency": "consistent",
    }
    return _table(
        rows[rows["rule"].isin(_several(rows, "decoding"))], ["rule", "decoding"], columns
    )


def _plot(rows: pd.DataFrame, path: Path) -> None:
    groups = _by_rule(rows)
    figure, (axes,) = new_figure(1, (8.0, 0.34 * len(groups) + 1.4))
    at = np.arange(len(groups))[::-1]
    for shift, level, colour in ((0.2, "super", BLUE), (-0.2, "sub", ORANGE)):
        values = [100 * group[f"{level}_harmonic"].astype(float) for _, group in groups]
        means = [column.mean() for column in values]
        spread = [column.std() if len(column) > 1 else 0.0 for column in values]
        axes.barh(at + shift, means, 0.38, xerr=spread, color=colour, label=f"{level}-class")
        for y, mean in zip(at + shift, means, strict=True):
            axes.annotate(f"{mean:.1f}", (1.0, y), va="center", color="white", fontsize=7.5)
    axes.set_yticks(at, [name for name, _ in groups])
    axes.set_xlim(0, 100)
    axes.set_xlabel("harmonic mean of seen and unseen accuracy on held-out classes, %")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save_figure(figure, path)
