"""Measurements that anyone can repeat on their own data."""

import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from hierclf.benchmark.compared import AS_IT_IS, Variant, run_variants
from hierclf.benchmark.compared import report as gain_report
from hierclf.benchmark.new_classes import report, run_worlds
from hierclf.benchmark.run import prepare_with_progress, run_benchmark
from hierclf.benchmark.worlds import cluster_groups, read_groups, regrouped
from hierclf.config import Config, load_config
from hierclf.errors import one_line_errors, output_errors
from hierclf.io.atomic import draft_of
from hierclf.progress import progress
from hierclf.rules.goals import BALANCED, Goal
from hierclf.training.prepare import Prepared

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
Data = Annotated[str | None, typer.Option(help="A folder, a Parquet file, or demo.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A YAML file of configs/.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Set one value: section.key=value.")
]
Worlds = Annotated[int, typer.Option(min=1, help="How many worlds.")]
First = Annotated[
    int, typer.Option(min=0, help="The first world's number: others than those that chose.")
]
Groups = Annotated[
    Path | None, typer.Option(help="A CSV with the columns class and group; without it, clusters.")
]
Clusters = Annotated[int, typer.Option(min=4, help="Groups to cluster into.")]
Out = Annotated[Path, typer.Option(help="Folder for the report.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show errors with their traceback.")]


@app.command()
def scores(
    data: Data = None,
    config: ConfigFile = None,
    set_: Overrides = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, ...")] = 3,
    novel_rate: Annotated[float, typer.Option(help="Novel rate of the goal overall.")] = 0.5,
    seen: Annotated[float, typer.Option(help="Seen accuracy of the goal seen-at-least.")] = 0.85,
    clip: Annotated[
        str | None,
        typer.Option(help="A CLIP model of open_clip, for rows of zero-shot classification."),
    ] = None,
    clip_weights: Annotated[
        str, typer.Option(help="Of it: one of open_clip's tags, or a .safetensors file.")
    ] = "laion2b_s34b_b79k",
    out: Out = Path("results/benchmark"),
    debug: Debug = False,
) -> None:
    """Compare every score, decoding and goal on held-out classes, by cross-fitting."""
    with one_line_errors("hierclf.benchmark", debug=debug):
        # Imported here: matplotlib's import fails if a notebook's MPLBACKEND is inherited.
        from hierclf.benchmark.report import summary, write_report

        goals = {
            "balanced": BALANCED,
            f"overall at {novel_rate:g} novel": Goal("overall", novel_rate=novel_rate),
            f"seen at least {seen:g}": Goal("seen-at-least", seen=seen),
        }
        settings = _config(data, config, set_)
        others = None
        if clip is not None:
            from hierclf.benchmark.zero_shot import zero_shot_on

            others = zero_shot_on(settings, clip, clip_weights, goals)
        rows = run_benchmark(settings, range(seeds), goals, others=others)
        paths = write_report(rows, out)
        print(summary(rows))
        print("wrote " + ", ".join(map(str, paths)))


@app.command()
def new_classes(
    data: Data = None,
    config: ConfigFile = None,
    set_: Overrides = None,
    worlds: Worlds = 20,
    first: First = 0,
    groups: Groups = None,
    clusters: Clusters = 12,
    out: Out = Path("results/benchmark"),
    debug: Debug = False,
) -> None:
    """Compare promised with found accuracies on new classes, in many small worlds.

    The backbone must be frozen: each world trains a network for each of its folds.
    """
    with one_line_errors("hierclf.benchmark", debug=debug):
        settings = _config(data, config, set_)
        prepared = prepare_with_progress(settings)
        group_of = _groups(prepared, groups, clusters)
        own = prepared._replace(cache=regrouped(prepared.cache, group_of))
        rows = []
        with progress("worlds") as step:
            for i, found in enumerate(run_worlds(settings, own, range(first, first + worlds))):
                rows += found
                step(i + 1, worlds)
        table = pd.DataFrame(rows)
        _write(table, report(table), out, "new_classes")


@app.command()
def compare(
    variant: Annotated[
        list[str],
        typer.Option(help="Other values, as section.key=value[;section.key=value...]; repeatable."),
    ],
    data: Data = None,
    config: ConfigFile = None,
    set_: Overrides = None,
    worlds: Worlds = 20,
    first: First = 0,
    groups: Groups = None,
    clusters: Clusters = 12,
    out: Out = Path("results/benchmark"),
    debug: Debug = False,
) -> None:
    """Compare other values of a configuration with those it has, on new classes.

    Gains are differences of what was found, in points, with 90 % intervals over worlds.
    """
    with one_line_errors("hierclf.benchmark", debug=debug):
        variants = {}
        for title in (AS_IT_IS, *variant):
            other = title.split(";") if title != AS_IT_IS else []
            settings = _config(data, config, [*(set_ or []), *other])
            with warnings.catch_warnings():
                if other:  # of the same images, which were warned of
                    warnings.simplefilter("ignore")
                variants[title] = Variant(settings, prepare_with_progress(settings))
        group_of = _groups(variants[AS_IT_IS].prepared, groups, clusters)
        rows = run_variants(variants, group_of, range(first, first + worlds))
        _write(rows, gain_report(rows), out, "variants")


def _groups(prepared: Prepared, path: Path | None, clusters: int) -> NDArray[np.int64]:
    """The group of each sub-class: from a file, or clusters of features."""
    cache = prepared.cache
    if path is not None:
        return read_groups(path, cache.hierarchy)
    if prepared.features is None:
        raise ValueError(
            "clustering needs frozen features: set model.freeze=backbone, or name --groups"
        )
    return cluster_groups(np.asarray(prepared.features[0]), cache.sub_labels, clusters)


def _write(rows: pd.DataFrame, text: str, folder: Path, stem: str) -> None:
    """Write the rows as CSV and a report as Markdown into a folder, and print the report."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.{ending}" for ending in ("csv", "md")]
    with draft_of(paths[0]) as draft:
        rows.to_csv(draft, index=False)
    with draft_of(paths[1]) as draft:
        draft.write_text(text, encoding="utf-8")
    print(text)
    print("wrote " + ", ".join(map(str, paths)))


def _config(data: str | None, config: Path | None, overrides: list[str] | None) -> Config:
    named = [f"data.path={data}"] if data else []
    return load_config(config, (overrides or []) + named)


if __name__ == "__main__":
    with output_errors("hierclf.benchmark"):
        app(prog_name="python -m hierclf.benchmark")
