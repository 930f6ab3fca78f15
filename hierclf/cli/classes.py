"""The command that adds classes to a model."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hierclf.cli.app import Command, Debug, ZipEncoding, app, say
from hierclf.cli.models import PANEL
from hierclf.errors import visible


@app.command("add-class", cls=Command, rich_help_panel=PANEL)
def add_class(
    model: Annotated[
        str,
        typer.Argument(
            help="A model directory with a frozen backbone, hf://OWNER/NAME, or an address such as "
            "s3://..."
        ),
    ],
    images: Annotated[
        str,
        typer.Argument(
            help="Images of one class (file, folder, .zip, 'pattern' or .parquet) with --sub and "
            "--super; or a table that names classes, such as novel.csv."
        ),
    ],
    sub: Annotated[str | None, typer.Option("--sub", help="The new sub-class.")] = None,
    super_: Annotated[str | None, typer.Option("--super", help="Its super-class.")] = None,
    new_super: Annotated[
        bool, typer.Option("--new-super", help="The super-class may be a new one.")
    ] = False,
    table_images: Annotated[
        str | None,
        typer.Option(
            "--images",
            help="Where the images of a table are, as given to hierclf novel; by default beside "
            "the table.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The new model directory; by default beside MODEL, numbered on."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where the training data are now, if they were moved.")
    ] = None,
    device: Annotated[str, typer.Option(help="For features: cpu, cuda, cuda:1, ...")] = "auto",
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Write a model that knows new classes, too, without a search.

    Heads, scores and thresholds are fitted anew, and MODEL stays as it is.
    """
    from hierclf.additions.labelled import new_images
    from hierclf.hub.addresses import is_elsewhere, local_model

    if out is None and is_elsewhere(model):
        raise ValueError(f"--out must name the new model directory for a model at {model}")
    new = new_images(
        images, subclass=sub, superclass=super_, images=table_images, zip_encoding=zip_encoding
    )
    from rich.console import Console

    from hierclf.additions.grow import add_classes
    from hierclf.additions.words import grown_notes
    from hierclf.commands.thresholds import rule_in_words
    from hierclf.data.cache import default_cache_dir
    from hierclf.nets.inference import pick_device
    from hierclf.progress import stages
    from hierclf.reports.change_table import change_table

    with stages() as report:
        grown = add_classes(
            local_model(model),
            out or _next_to(local_model(model)),
            new,
            cache_dir=default_cache_dir(),
            device=pick_device(device),
            new_super=new_super,
            data=data,
            progress=report,
        )
    for name, reason in grown.unreadable:
        print(visible(f"unreadable, left out: {name}: {reason}"), file=sys.stderr)
    Console().print(change_table(grown.before.figures, grown.fitted.promised.figures))
    for note in grown_notes(grown):
        print(visible(note))
    print(rule_in_words(grown.fitted.rule))
    print(f"wrote {grown.directory}; {model} is as it was")
    print("next:")
    say("hierclf", "predict", grown.directory, "IMAGES", "--out", "predictions.csv")


def _next_to(model: Path) -> Path:
    """The first free name of MODEL-2, MODEL-3, ..."""
    stem = model.resolve()
    number = 2
    while stem.with_name(f"{stem.name}-{number}").exists():
        number += 1
    return model.parent / f"{stem.name}-{number}"
