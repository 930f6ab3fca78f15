"""Commands about predictions: predict, explain, serve, novel, evaluate."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from hierclf.cli.app import (
    Columns,
    Command,
    Debug,
    Hierarchy,
    Model,
    Truncated,
    ZipEncoding,
    app,
    say,
)
from hierclf.errors import visible
from hierclf.io.atomic import TABLE_ENDINGS, check_out_file, draft_of

PANEL = "Predictions"


@app.command(cls=Command, rich_help_panel=PANEL)
def predict(
    model: Model,
    images: Annotated[str, typer.Argument(help="A file, folder, .zip, 'pattern' or .parquet.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv or .parquet.")],
    form: Annotated[
        Literal["table", "submission"],
        typer.Option("--format", help="All columns, or just image and the two indices."),
    ] = "table",
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Add columns: what decided and by how much, nearest classes and training image.",
        ),
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    truncated: Truncated = "refuse",
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Classify images; every answer may be "novel".

    Images that cannot be read are listed and left out of the file.
    """
    from hierclf.data.image_files import list_images
    from hierclf.progress import progress

    check_out_file("--out", out, endings=TABLE_ENDINGS)
    if explain and form != "table":
        raise ValueError(f"--explain needs --format table, but got --format {form}")
    # Before torch is imported: a wrong path shows at once.
    keep = truncated == "keep"
    files = list_images(images, zip_encoding=zip_encoding, keep_truncated=keep)
    from hierclf.bundle.directory import load_bundle
    from hierclf.commands.backbone_cost import cost_note, several_of
    from hierclf.commands.predict_files import predict_to_file
    from hierclf.commands.tally import print_tally
    from hierclf.explanations.background import read_background
    from hierclf.hub.addresses import local_model
    from hierclf.nets.inference import pick_device

    bundle = load_bundle(local_model(model))
    background = read_background(bundle) if explain else None
    several = several_of(bundle)
    with progress("predicting") as report:
        tally = predict_to_file(
            bundle,
            files,
            out,
            form=form,
            batch_size=batch_size,
            device=pick_device(device),
            progress=report,
            background=background,
        )
    for what in background.missing if background else ():
        print(visible(f"missing: {what}"), file=sys.stderr)
    print_tally(tally, out)
    if several is not None and (note := cost_note(several)):
        print(note)
    print("next, where the labels are known:")
    say("hierclf", "evaluate", out, "LABELS", "--model", model)


@app.command(cls=Command, rich_help_panel=PANEL)
def explain(
    model: Model,
    images: Annotated[
        list[str], typer.Argument(help="Files, folders, .zips, 'patterns' or .parquets.")
    ],
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write JSON to this file; - prints it."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")
    ] = None,
    training_images: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="With --html: where the training images are."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    truncated: Truncated = "refuse",
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Say why a model answers as it does.

    For each level: score and threshold, what pushed the score to its side, and probabilities.
    """
    if json_file is not None and json_file != "-":
        check_out_file("--json", Path(json_file), endings=(".json",))
    if html_file is not None:
        check_out_file("--html", html_file, endings=(".html",))
        if json_file is not None:
            raise ValueError("--html and --json must not be given together")
    elif training_images is not None:
        raise ValueError(f"--training-images needs --html, but got {training_images} without it")
    from hierclf.bundle.directory import load_bundle
    from hierclf.commands.explain_files import explain_files, list_places
    from hierclf.data.image_files import list_images
    from hierclf.explanations.background import read_background
    from hierclf.hub.addresses import local_model
    from hierclf.nets.inference import pick_device

    keep = truncated == "keep"
    places = list_places(images, zip_encoding=zip_encoding, keep_truncated=keep)
    training = list_images(training_images, zip_encoding=zip_encoding) if training_images else ()
    bundle = load_bundle(local_model(model))
    explain_files(
        bundle,
        read_background(bundle),
        places,
        json_file=json_file,
        html_file=html_file,
        training=dict(training),
        batch_size=batch_size,
        device=pick_device(device),
    )


@app.command(cls=Command, rich_help_panel=PANEL)
def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="A model directory or exported model, hf://OWNER/NAME, or an address such as "
            "s3://..."
        ),
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    max_images: Annotated[int, typer.Option(help="Images in a request.")] = 64,
    max_bytes: Annotated[int, typer.Option(help="Bytes of a request's body.")] = 32 * 2**20,
    max_requests: Annotated[
        int, typer.Option(help="Requests at a time; more are refused with 503.")
    ] = 64,
    timeout: Annotated[float, typer.Option(help="Seconds for a request to arrive.")] = 30.0,
    batch_size: Annotated[int, typer.Option(help="Images that pass the network at a time.")] = 16,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    debug: Debug = False,
) -> None:
    """Answer predictions over HTTP.

    Needs the extra serve. There is no password: whoever reaches the port can ask.
    """
    try:
        from hierclf.serving.limits import Limits
        from hierclf.serving.server import serve as serve_model
    except ModuleNotFoundError as error:
        what = f"serving needs {error.name}: run pip install 'hierclf[serve]'"
        raise ValueError(what) from None
    limits = Limits(
        max_images=max_images, max_bytes=max_bytes, max_requests=max_requests, timeout=timeout
    )
    from hierclf.hub.addresses import local_model

    serve_model(
        local_model(model),
        host=host,
        port=port,
        limits=limits,
        batch_size=batch_size,
        device=device,
        title=model,
    )


@app.command(cls=Command, rich_help_panel=PANEL)
def novel(
    model: Model,
    images: Annotated[str, typer.Argument(help="A file, folder, .zip, 'pattern' or .parquet.")],
    out: Annotated[Path, typer.Option(help="The folder to write novel.csv and novel.html to.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    truncated: Truncated = "refuse",
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Group the images that a model calls novel into proposed new classes, to look at and name."""
    from hierclf.data.image_files import list_images
    from hierclf.progress import progress

    keep = truncated == "keep"
    files = list_images(images, zip_encoding=zip_encoding, keep_truncated=keep)
    from hierclf.bundle.directory import load_bundle
    from hierclf.commands.novel import (
        SHEET,
        TABLE,
        find_novel,
        group_notes,
        propose,
        spread_of,
        write_groups,
    )
    from hierclf.hub.addresses import local_model
    from hierclf.nets.inference import pick_device

    if (out / TABLE).exists():  # it may hold names by now
        raise ValueError(f"--out must be a folder without {TABLE}, but {out / TABLE} exists")
    bundle = load_bundle(local_model(model))
    spread = spread_of(bundle)
    with progress("predicting") as report:
        found = find_novel(
            bundle, files, batch_size=batch_size, device=pick_device(device), progress=report
        )
    groups = propose(found, spread)
    notes = group_notes(found, groups, spread)
    write_groups(bundle, files, groups, out, notes)
    for name, reason in found.unreadable:
        print(visible(f"unreadable: {name}: {reason}"), file=sys.stderr)
    for note in notes:
        print(note)
    print(f"wrote {out / TABLE} and {out / SHEET}: look at the groups, and name them in the table")
    print("next, once they are named:")
    say("hierclf", "add-class", model, out / TABLE, "--images", images)


@app.command(cls=Command, rich_help_panel=PANEL)
def evaluate(
    predictions: Annotated[Path, typer.Argument(help="What `hierclf predict` wrote.")],
    labels: Annotated[
        str,
        typer.Argument(help="A table of images and classes, names or ids, or class folders."),
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures to this file, too.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Take classes and novel ids from this model directory; otherwise from "
            "superclass_mapping.csv and subclass_mapping.csv beside LABELS."
        ),
    ] = None,
    columns: Columns = None,
    hierarchy: Hierarchy = None,
    debug: Debug = False,
) -> None:
    """Compare predictions with labels: accuracy of known (seen) and novel (unseen) classes."""
    from rich.console import Console

    from hierclf.commands.evaluate import evaluate
    from hierclf.commands.evaluation_table import evaluation_notes, evaluation_table
    from hierclf.data.named_sets import local_labels
    from hierclf.hub.addresses import local_model

    if json_file is not None:
        check_out_file("--json", json_file, endings=(".json",))
    result = evaluate(
        predictions,
        local_labels(labels),
        model=None if model is None else local_model(model),
        columns=columns,
        hierarchy=hierarchy,
    )
    if json_file is not None:  # before anything is printed: `| head` may end that
        with draft_of(json_file) as draft:
            draft.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")
    Console().print(evaluation_table(result))
    for note in evaluation_notes(result):
        print(visible(note))
