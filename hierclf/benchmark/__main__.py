"""Measurements that anyone can repeat on their own data."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from hierclf.benchmark.new_classes import report, run_worlds, write_worlds
from hierclf.benchmark.run import prepare_with_progress, run_benchmark
from hierclf.benchmark.worlds import cluster_groups, read_groups, regrouped
from hierclf.config import Config, load_config
from hierclf.errors import one_line_errors, output_errors
from hierclf.progress import progress
from hierclf.rules.goals import BALANCED, Goal

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)
Data = Annotated[str | None, typer.Option(help="A folder, a Parquet file, or demo.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A YAML file of configs/.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Set one value: section.key=value.")
]
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
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/benchmark"),
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
    worlds: Annotated[int, typer.Option(min=1, help="How many worlds.")] = 20,
    first: Annotated[
        int, typer.Option(min=0, help="The first world's number: others than those that chose.")
    ] = 0,
    groups: Annotated[
        Path | None,
        typer.Option(help="A CSV with the columns class and group; without it, clusters."),
    ] = None,
    clusters: Annotated[int, typer.Option(min=4, help="Groups to cluster into.")] = 12,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/benchmark"),
    debug: Debug = False,
) -> None:
    """Compare promised with found accuracies on new classes, in many small worlds.

    The backbone must be frozen: each world trains a network for each of its folds.
    """
    with one_line_errors("hierclf.benchmark", debug=debug):
        settings = _config(data, config, set_)
        prepared = prepare_with_progress(settings)
        cache = prepared.cache
        if groups is not None:
            group_of = read_groups(groups, cache.hierarchy)
        elif prepared.features is not None:
            group_of = cluster_groups(np.asarray(prepared.features[0]), cache.sub_labels, clusters)
        else:
            raise ValueError(
                "clustering needs frozen features: set model.freeze=backbone, or name --groups"
            )
        own = prepared._replace(cache=regrouped(cache, group_of))
        rows = []
        with progress("worlds") as step:
            for i, found in enumerate(run_worlds(settings, own, range(first, first + worlds))):
                rows += found
                step(i + 1, worlds)
        table = pd.DataFrame(rows)
        paths = write_worlds(table, out)
        print(report(table))
        print("wrote " + ", ".join(map(str, paths)))


def _config(data: str | None, config: Path | None, overrides: list[str] | None) -> Config:
    named = [f"data.path={data}"] if data else []
    return load_config(config, (overrides or []) + named)


if __name__ == "__main__":
    with output_errors("hierclf.benchmark"):
        app(prog_name="python -m hierclf.benchmark")
