"""The main job: from a folder of labelled images to a tuned classifier that knows what is novel.

python search/tune.py                                  # the demo set
python search/tune.py --data PATH --config configs/paper.yaml --gpus 4
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

# `python search/tune.py` puts search/ first on the path; the packages are found from its parent.
ROOT = Path(__file__).resolve().parents[1]
sys.path[0:1] = [str(ROOT)]
# Ray's workers import the same packages, wherever they start.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

from hierclf.config import load_config  # noqa: E402
from hierclf.errors import one_line_errors  # noqa: E402

Option = typer.Option


def tune(
    data: Annotated[str | None, Option(help="folder, Parquet file, or demo")] = None,
    config: Annotated[Path | None, Option(help="YAML file; see configs/")] = None,
    set_: Annotated[list[str] | None, Option("--set", help="section.key=value")] = None,
    name: Annotated[str | None, Option(help="name of the run; its folder's name too")] = None,
    resume: Annotated[str | None, Option(help="go on with the run of this name")] = None,
    trials: Annotated[int | None, Option(help="trials of the search")] = None,
    time_budget: Annotated[float | None, Option(help="seconds for the search's trials")] = None,
    gpus: Annotated[int | None, Option(min=0, help="left out: all there are; 0: CPUs")] = None,
    gpus_per_trial: Annotated[
        float, Option(min=0.05, help="workers of a trial, a GPU each; below 1: trials share a GPU")
    ] = 1,
    address: Annotated[str | None, Option(help="a running Ray cluster, such as auto")] = None,
    mlflow_uri: Annotated[str | None, Option(help="an MLflow server; else a local store")] = None,
    results: Annotated[Path, Option(help="where runs and the MLflow store go")] = Path("results"),
    seed: Annotated[int | None, Option(min=0)] = None,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Search hyper-parameters and thresholds, and register the best model."""
    with one_line_errors("tune.py", debug=debug):
        overrides = list(set_ or [])
        given = {"data.path": data, "search.trials": trials, "seed": seed}
        # As JSON: a path such as 2024 or `a: b` stays text.
        overrides += [f"{key}={json.dumps(v)}" for key, v in given.items() if v is not None]
        options = {
            "time_budget": time_budget,
            "gpus": gpus,
            "gpus_per_trial": gpus_per_trial,
            "address": address,
            "mlflow_uri": mlflow_uri,
        }
        if time_budget is not None and time_budget <= 0:
            raise ValueError(f"--time-budget must be above 0 seconds, but got {time_budget}")
        fixed = (time_budget, gpus, mlflow_uri, name, config)
        if resume is not None and (overrides or gpus_per_trial != 1 or fixed != (None,) * 5):
            raise ValueError(
                "--resume goes on with the run's own options: give none but --results, --address "
                "and --debug beside it"
            )
        if config is None:
            demo = data is None or data.startswith("demo")
            config = ROOT / "configs" / ("demo.yaml" if demo else "paper.yaml")
        # Ray, MLflow and torch are imported once the command line has proved right.
        settings = load_config(config, overrides) if resume is None else None
        from search.pipeline.job import run_job

        run_job(settings, name=name, resume=resume, results=results, options=options)


def main() -> None:
    """Run the command; a mistake in its options is one line, too."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(tune)
    try:
        sys.exit(app(standalone_mode=False))
    except _USAGE_ERROR as error:
        print(f"tune.py: error: {error.format_message()}", file=sys.stderr)
        sys.exit(2)


# Typer's own class of wrong options, by whatever name the installed version has it.
_USAGE_ERROR: Any = typer.BadParameter.__base__

if __name__ == "__main__":
    main()
