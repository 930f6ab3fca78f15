"""Predict with a model of the MLflow registry, on this machine or spread over a Ray cluster.

python search/predict.py models:/hierclf@champion IMAGES --out predictions.csv
python search/predict.py models:/hierclf@champion IMAGES --out FOLDER --ray --address auto
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

if not __package__:  # run as a file: Python's path begins with search/ itself
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from hierclf.cli.app import Truncated, ZipEncoding
from hierclf.cli.predictions import predict as predict_with_directory
from hierclf.errors import one_line_errors, output_errors
from search.runtime.installed import require_search_packages

Option = typer.Option
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="models:/NAME@ALIAS or models:/NAME/VERSION")],
    images: Annotated[str, typer.Argument(help="file, folder, .zip, 'pattern' or .parquet")],
    out: Annotated[
        Path, Option(help="file to write: .csv or .parquet; with --ray, folder of Parquet files")
    ],
    form: Annotated[
        Literal["table", "submission"], Option("--format", help="all columns, or the two indices")
    ] = "table",
    explain: Annotated[bool, Option("--explain", help="add columns that say why")] = False,
    batch_size: Annotated[int, Option(min=1)] = 64,
    device: Annotated[str, Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    truncated: Truncated = "refuse",
    zip_encoding: ZipEncoding = None,
    mlflow_uri: Annotated[
        str | None, Option(help="an MLflow server; default: the local store")
    ] = None,
    results: Annotated[Path, Option(help="folder of the local store")] = Path("results"),
    ray: Annotated[bool, Option("--ray", help="spread over a Ray cluster by Ray Data")] = False,
    address: Annotated[str | None, Option(help="a running Ray cluster, such as auto")] = None,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Classify images with a registered model, as `hierclf predict` does with a directory."""
    with one_line_errors("predict.py", debug=debug):
        require_search_packages()
        if ray and (form != "table" or device != "auto" or explain):
            raise ValueError(
                "--ray writes all columns, on the devices that Ray sees: beside it, give neither "
                "--format nor --explain nor --device"
            )
        if address is not None and not ray:
            raise ValueError(f"--address needs --ray, but got --address {address} without it")
        # MLflow takes seconds to import: after the command line has been checked.
        from search.tracking.registry import resolve_model
        from search.tracking.store import default_uri

        if mlflow_uri is None and not (results / "mlflow.db").is_file():
            raise ValueError(
                f"--results must hold an MLflow store, but {results / 'mlflow.db'} does not exist"
            )
        directory = resolve_model(mlflow_uri or default_uri(results), model)
        if not ray:
            predict_with_directory(
                str(directory),
                images,
                out,
                form=form,
                explain=explain,
                batch_size=batch_size,
                device=device,
                truncated=truncated,
                zip_encoding=zip_encoding,
            )
            return
        from hierclf.commands.tally import print_tally
        from hierclf.progress import progress
        from search.runtime.ray_predict import predict_on_ray

        with progress("predicting") as report:
            tally = predict_on_ray(
                directory,
                images,
                out,
                reading={"zip_encoding": zip_encoding, "keep_truncated": truncated == "keep"},
                batch_size=batch_size,
                address=address,
                progress=report,
            )
        print_tally(tally, out)


if __name__ == "__main__":
    with output_errors("predict.py"):
        app()
