"""Register a model directory in the MLflow registry, such as one that `hierclf add-class` wrote.

python search/register.py results/runs/NAME/model-2
python search/register.py results/runs/NAME/model-2 --registered-model animals --take-over
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

if not __package__:  # run as a file: Python's path begins with search/ itself
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from hierclf.errors import one_line_errors, output_errors
from search.runtime.installed import require_search_packages

Option = typer.Option
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def register(
    model: Annotated[Path, typer.Argument(help="a model directory")],
    registered_model: Annotated[str, Option(help="name in the registry")] = "hierclf",
    mlflow_uri: Annotated[
        str | None, Option(help="an MLflow server; default: the local store")
    ] = None,
    results: Annotated[Path, Option(help="folder of the local store")] = Path("results"),
    take_over: Annotated[
        bool, Option("--take-over", help="take the champion alias from a model on other data")
    ] = False,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Register a model directory as a new version, with its card.

    A search registers its own model. With added classes, a model counts as trained on other
    data: the champion stays unless --take-over is given.
    """
    with one_line_errors("register.py", debug=debug):
        require_search_packages()
        from search.pipeline.options import RunOptions

        RunOptions(registered_model=registered_model)  # refuses a name that MLflow cannot hold
        # MLflow takes seconds to import: after the command line has been checked.
        from search.pipeline.registering import register_directory
        from search.tracking.store import default_uri

        results.mkdir(parents=True, exist_ok=True)
        registered = register_directory(
            mlflow_uri or default_uri(results),
            model,
            results=results,
            own=mlflow_uri is None,
            name=registered_model,
            take_over=take_over,
        )
        print(registered.message)


if __name__ == "__main__":
    with output_errors("register.py"):
        app()
