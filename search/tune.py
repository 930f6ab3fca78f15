"""The main job: from a folder of labelled images to a tuned classifier that detects novel classes.

python search/tune.py                                  # the demo set
python search/tune.py --data PATH --config configs/paper.yaml --gpus 4
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

if not __package__:  # run as a file: Python's path begins with search/ itself
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import search
from hierclf.errors import one_line_errors, output_errors

Option = typer.Option
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def tune(
    data: Annotated[
        str | None, Option(help="folder, table of images, tars, a set by name, or demo")
    ] = None,
    config: Annotated[Path | None, Option(help="YAML file, or cpu, demo or paper")] = None,
    set_: Annotated[list[str] | None, Option("--set", help="section.key=value")] = None,
    name: Annotated[str | None, Option(help="name of the run and of its folder")] = None,
    resume: Annotated[str | None, Option(help="name of a run to resume")] = None,
    trials: Annotated[int | None, Option(help="trials of the search")] = None,
    time_budget: Annotated[float | None, Option(help="seconds for the search's trials")] = None,
    gpus: Annotated[int | None, Option(help="default: all there are; 0: CPUs")] = None,
    gpus_per_trial: Annotated[
        float, Option(help="a worker for each; below 1: trials share a GPU")
    ] = 1,
    workers_per_trial: Annotated[int, Option(help="data-parallel, on CPUs")] = 1,
    address: Annotated[str | None, Option(help="a running Ray cluster, such as auto")] = None,
    wait_for_nodes: Annotated[
        float, Option(help="seconds to wait for a cluster's nodes, which an autoscaler may start")
    ] = 0,
    mlflow_uri: Annotated[
        str | None, Option(help="an MLflow server; default: a local store")
    ] = None,
    registered_model: Annotated[
        str | None, Option(help="name in MLflow's registry; default: hierclf")
    ] = None,
    results: Annotated[
        str, Option(help="folder of runs and of the local store, or its address, such as s3://...")
    ] = "results",
    seed: Annotated[int | None, Option(min=0)] = None,
    columns: Annotated[
        str | None,
        Option(help="columns of a table of image files: image=COLUMN,super=COLUMN,sub=COLUMN"),
    ] = None,
    hierarchy: Annotated[
        Path | None,
        Option(help="a table sub,super, for data that name sub-classes only"),
    ] = None,
    group_by: Annotated[
        str | None,
        Option(
            help="regular expression; images whose names share what it matches "
            "stay on one side of every split"
        ),
    ] = None,
    novel: Annotated[
        str | None,
        Option(help="images of new classes, to choose and judge thresholds by"),
    ] = None,
    generated: Annotated[
        str | None,
        Option(help="synthetic images of no known class, to train on with train.outlier"),
    ] = None,
    study: Annotated[
        str | None,
        Option(help="where Optuna's study is stored: a database such as sqlite:///FILE, or a file"),
    ] = None,
    study_name: Annotated[
        str | None, Option(help="a study in --study that several searches share")
    ] = None,
    take_over: Annotated[
        bool, Option("--take-over", help="take the champion alias from a model on other data")
    ] = False,
    system_metrics: Annotated[
        bool,
        Option("--system-metrics", help="log this machine's CPU, memory, disk and GPUs to MLflow"),
    ] = False,
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="show resources, folds, time, configuration; train nothing"),
    ] = False,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Search hyper-parameters and thresholds, and register the best model."""
    with one_line_errors("tune.py", debug=debug):
        if resume is not None:
            fixed = (
                data,
                config,
                set_,
                name,
                trials,
                time_budget,
                gpus,
                mlflow_uri,
                registered_model,
                seed,
                columns,
                hierarchy,
                group_by,
                novel,
                generated,
                study,
                study_name,
            )
            resources = (gpus_per_trial, workers_per_trial)
            changed = resources != (1, 1) or dry_run or system_metrics or wait_for_nodes
            if any(value is not None for value in fixed) or changed:
                raise ValueError(
                    "--resume takes the run's own options: beside it, give none but --results, "
                    "--address, --take-over and --debug"
                )
            search.resume(resume, address=address, results=results, take_over=take_over)
            return
        arguments: dict[str, Any] = {
            "config": config,
            "overrides": set_ or (),
            "trials": trials,
            "seed": seed,
            "columns": columns,
            "hierarchy": hierarchy,
            "group_by": group_by,
            "novel": novel,
            "generated": generated,
            "study": study,
            "study_name": study_name,
            "time_budget": time_budget,
            "gpus": gpus,
            "gpus_per_trial": gpus_per_trial,
            "workers_per_trial": workers_per_trial,
            "address": address,
            "wait_for_nodes": wait_for_nodes,
            "mlflow_uri": mlflow_uri,
            "registered_model": registered_model or "hierclf",
            "take_over": take_over,
            "system_metrics": system_metrics,
        }
        if dry_run:
            search.dry_run(data, **arguments)
        else:
            search.run(data, name=name, results=results, **arguments)


if __name__ == "__main__":
    with output_errors("tune.py"):
        app()
