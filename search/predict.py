"""Predict with a model of the MLflow registry.

python search/predict.py models:/hierclf@champion IMAGES --out predictions.csv
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

# `python search/predict.py` puts search/ first on the path; the packages are found from its parent.
sys.path[0:1] = [str(Path(__file__).resolve().parents[1])]

from hierclf import cli  # noqa: E402
from hierclf.errors import one_line_errors  # noqa: E402

Option = typer.Option


def predict(
    model: Annotated[str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/VERSION")],
    images: Annotated[str, typer.Argument(help="file, folder, .zip, 'pattern' or .parquet")],
    out: Annotated[Path, Option(help="the file to write: .csv or .parquet")],
    form: Annotated[
        Literal["table", "submission"], Option("--format", help="all columns, or the two indices")
    ] = "table",
    batch_size: Annotated[int, Option(min=1)] = 64,
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    mlflow_uri: Annotated[str | None, Option(help="an MLflow server; else the local store")] = None,
    results: Annotated[Path, Option(help="where the local store is")] = Path("results"),
    debug: Annotated[bool, Option(help="show tracebacks")] = False,
) -> None:
    """Classify images as `hierclf predict` does, by a registered model."""
    with one_line_errors("predict.py", debug=debug):
        # MLflow takes seconds to import: after the command line has proved right.
        from search.registry import resolve_model
        from search.tracking import default_uri

        if mlflow_uri is None and not (results / "mlflow.db").is_file():
            raise ValueError(
                f"--results must hold an MLflow store, but {results / 'mlflow.db'} does not exist"
            )
        directory = resolve_model(mlflow_uri or default_uri(results), model)
        cli.predict(directory, images, out, form=form, batch_size=batch_size, device=device)


if __name__ == "__main__":
    typer.run(predict)
