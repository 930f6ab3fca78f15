"""Predict with a registered or another model, on this machine or spread over a Ray cluster.

python search/predict.py models:/hierclf@champion IMAGES --out predictions.csv
python search/predict.py models:/hierclf@champion IMAGES --out FOLDER --ray --address auto
python search/predict.py s3://BUCKET/model s3://BUCKET/new --out s3://BUCKET/predictions --ray
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

if not __package__:  # run as a file: Python's path begins with search/ itself
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from hierclf.cli.app import Truncated, ZipEncoding, say
from hierclf.cli.predictions import predict as predict_with_directory
from hierclf.counts import counted
from hierclf.errors import one_line_errors, output_errors
from hierclf.hub.addresses import local_model
from hierclf.storage.address import is_address
from search.runtime.installed import require_search_packages

Option = typer.Option
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def predict(
    model: Annotated[
        str,
        typer.Argument(help="models:/NAME@ALIAS, models:/NAME/VERSION, a directory or an address"),
    ],
    images: Annotated[
        str, typer.Argument(help="file, folder, .zip, .tar, 'pattern', .parquet, or an address")
    ],
    out: Annotated[
        str,
        Option(
            help="file to write: .csv or .parquet; with --ray, a folder or the address of one for "
            "Parquet files; one that the same command began is gone on with"
        ),
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
    ray: Annotated[bool, Option("--ray", help="spread over a Ray cluster")] = False,
    address: Annotated[str | None, Option(help="a running Ray cluster, such as auto")] = None,
    gpus_per_worker: Annotated[
        float | None,
        Option(
            min=0,
            max=1,
            help="with --ray; below 1, workers share a GPU; 0 takes CPUs; default: 1 if there are "
            "GPUs",
        ),
    ] = None,
    debug: Annotated[bool, Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Classify images as `hierclf predict` does, with a registered model or on a Ray cluster."""
    with one_line_errors("predict.py", debug=debug):
        require_search_packages()
        if ray and (form != "table" or device != "auto" or explain):
            raise ValueError(
                "--ray writes all columns, on the devices that Ray sees: beside it, give neither "
                "--format nor --explain nor --device"
            )
        for option, value in (("--address", address), ("--gpus-per-worker", gpus_per_worker)):
            if value is not None and not ray:
                raise ValueError(f"{option} needs --ray, but got {option} {value} without it")
        if not ray and is_address(out):
            raise ValueError(f"--out must be a file of this machine without --ray, but got {out}")
        directory = _local(model, mlflow_uri, results)
        if not ray:
            predict_with_directory(
                str(directory),
                images,
                Path(out),
                form=form,
                explain=explain,
                batch_size=batch_size,
                device=device,
                truncated=truncated,
                zip_encoding=zip_encoding,
            )
            return
        from hierclf.commands.tally import print_tally
        from search.prediction.progress import shard_progress
        from search.prediction.run import predict_on_cluster

        with shard_progress() as report:
            outcome = predict_on_cluster(
                directory,
                images,
                out,
                reading={"zip_encoding": zip_encoding, "keep_truncated": truncated == "keep"},
                batch_size=batch_size,
                address=address,
                gpus_per_worker=gpus_per_worker,
                progress=report,
            )
        print_tally(outcome.tally, out)
        _say_what_is_there(outcome, out, model)


def _local(model: str, mlflow_uri: str | None, results: Path) -> Path:
    """The model directory on this machine."""
    if not model.startswith("models:"):
        return local_model(model)
    # MLflow takes seconds to import: after the command line has been checked.
    from search.tracking.registry import resolve_model
    from search.tracking.store import default_uri

    if mlflow_uri is None and not (results / "mlflow.db").is_file():
        raise ValueError(
            f"--results must hold an MLflow store, but {results / 'mlflow.db'} does not exist"
        )
    return resolve_model(mlflow_uri or default_uri(results), model)


def _say_what_is_there(outcome: Any, out: str, model: str) -> None:
    before = f", {outcome.before:,} of which were there before" if outcome.before else ""
    print(f"{counted(outcome.parts, 'part')}, in the order of their names{before}")
    if is_address(out):
        print("next, to see them:")
        say("python", "-c", f"import pyarrow.parquet as p; print(p.read_table({out!r}))")
    else:
        print("next, if there are labels:")
        say("hierclf", "evaluate", out, "LABELS", "--model", model)


if __name__ == "__main__":
    with output_errors("predict.py"):
        app()
