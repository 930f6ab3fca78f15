"""Choose the thresholds of a registered model again: a new version of it, under the same run.

python search/thresholds.py models:/hierclf --goal overall --novel-rate 0.1
python search/thresholds.py models:/hierclf/2 --undo
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

if not __package__:  # run as a file: Python's path begins with search/ itself
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from hierclf.cli.models import wanted_goal
from hierclf.errors import one_line_errors, output_errors
from search.runtime.installed import require_search_packages

Option = typer.Option
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def thresholds(
    model: Annotated[
        str, typer.Argument(help="models:/NAME (its champion), models:/NAME@ALIAS or .../VERSION")
    ],
    goal: Annotated[
        Literal["balanced", "overall", "seen-at-least"],
        Option(metavar="GOAL", help="as of hierclf thresholds"),
    ] = "balanced",
    novel_rate: Annotated[float | None, Option(help="for overall: share of novel images")] = None,
    seen: Annotated[float | None, Option(help="for seen-at-least: seen accuracy")] = None,
    super_tau: Annotated[
        float | None, Option(help="with --sub-tau: thresholds of your own")
    ] = None,
    sub_tau: Annotated[float | None, Option(help="the threshold of the sub level")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="show, and register nothing")] = False,
    undo: Annotated[bool, Option("--undo", help="back to the former thresholds")] = False,
    mlflow_uri: Annotated[
        str | None, Option(help="an MLflow server; default: the local store")
    ] = None,
    results: Annotated[Path, Option(help="folder of the local store")] = Path("results"),
    take_over: Annotated[
        bool, Option("--take-over", help="take the champion alias from a model on other data")
    ] = False,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Choose a registered model's thresholds again, as `hierclf thresholds` does of a directory.

    The version stays; another one has the new thresholds, and is the champion if the version
    was.
    """
    with one_line_errors("thresholds.py", debug=debug):
        require_search_packages()
        taus = super_tau, sub_tau
        wanted = wanted_goal(goal, novel_rate, seen, taus, undo=undo, dry_run=dry_run)
        if mlflow_uri is None and not (results / "mlflow.db").is_file():
            raise ValueError(
                f"--results must hold an MLflow store, but {results / 'mlflow.db'} does not exist"
            )
        # MLflow takes seconds to import: after the command line has been checked.
        from search.pipeline.registered_thresholds import Change, change_thresholds
        from search.tracking.store import default_uri

        change_thresholds(
            mlflow_uri or default_uri(results),
            model if "@" in model or "/" in model.removeprefix("models:/") else f"{model}@champion",
            Change(wanted, taus, dry_run=dry_run),
            take_over=take_over,
        )


if __name__ == "__main__":
    with output_errors("thresholds.py"):
        app()
