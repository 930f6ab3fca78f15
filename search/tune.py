"""The main job: from a folder of labelled images to a tuned classifier that detects novel classes.

python search/tune.py                                  # the demo set
python search/tune.py --data PATH --config configs/paper.yaml --gpus 4
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

if not __package__:  # run as a file: Python's path begins with search/ itself
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from hierclf.config import load_config
from hierclf.data.sources import is_demo
from hierclf.errors import one_line_errors
from search.pipeline.options import RunOptions
from search.runtime.installed import require_search_packages

Option = typer.Option
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def tune(
    data: Annotated[str | None, Option(help="folder, Parquet file, or demo")] = None,
    config: Annotated[Path | None, Option(help="YAML file, or cpu, demo or paper")] = None,
    set_: Annotated[list[str] | None, Option("--set", help="section.key=value")] = None,
    name: Annotated[str | None, Option(help="name of the run and of its folder")] = None,
    resume: Annotated[str | None, Option(help="name of a run to resume")] = None,
    trials: Annotated[int | None, Option(help="trials of the search")] = None,
    time_budget: Annotated[float | None, Option(help="seconds for the search's trials")] = None,
    gpus: Annotated[int | None, Option(help="default: all there are; 0: CPUs")] = None,
    gpus_per_trial: Annotated[
        float, Option(help="workers per trial, a GPU each; below 1: trials share a GPU")
    ] = 1,
    address: Annotated[str | None, Option(help="a running Ray cluster, such as auto")] = None,
    mlflow_uri: Annotated[
        str | None, Option(help="an MLflow server; default: a local store")
    ] = None,
    results: Annotated[Path, Option(help="folder of runs and of the local store")] = Path(
        "results"
    ),
    seed: Annotated[int | None, Option(min=0)] = None,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Search hyper-parameters and thresholds, and register the best model."""
    with one_line_errors("tune.py", debug=debug):
        require_search_packages()
        options = RunOptions(
            time_budget=time_budget,
            gpus=gpus,
            gpus_per_trial=gpus_per_trial,
            address=address,
            mlflow_uri=mlflow_uri,
        )
        given = {"data.path": data, "search.trials": trials, "seed": seed}
        # As JSON: a path such as 2024 or `a: b` stays text.
        changes = [f"{key}={json.dumps(v)}" for key, v in given.items() if v is not None]
        changes = [*(set_ or []), *changes]
        if resume is not None:
            if changes or config or name or options != RunOptions(address=address):
                raise ValueError(
                    "--resume takes the run's own options: beside it, give none but --results, "
                    "--address and --debug"
                )
            # Ray, MLflow and torch take seconds to import: after the command line has been checked.
            from search.pipeline.job import resume_job

            resume_job(resume, results=results, address=address)
            return
        if config is None:
            config = Path("demo" if data is None or is_demo(data) else "paper")
        settings = load_config(config, changes)
        from search.pipeline.job import run_job

        run_job(settings, name=name, results=results, options=options)


if __name__ == "__main__":
    app()
