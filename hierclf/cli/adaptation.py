"""The command about unlabelled images of the place of use: adapt."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hierclf.cli.app import Command, Debug, Model, Truncated, ZipEncoding, app, say
from hierclf.cli.models import PANEL, print_choice, print_written
from hierclf.errors import visible
from hierclf.io.atomic import check_out_file, write_json_object

if TYPE_CHECKING:
    from hierclf.commands.adapt import Adapted


@app.command(cls=Command, rich_help_panel=PANEL)
def adapt(
    model: Model,
    images: Annotated[str, typer.Argument(help="A file, folder, .zip, 'pattern' or .parquet.")],
    write: Annotated[
        bool, typer.Option("--write", help="Replace the thresholds; otherwise only show them.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write shares, thresholds and figures to this file, too."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "auto",
    truncated: Truncated = "refuse",
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Thresholds for the share of novel images among unlabelled ones of the place of use.

    Estimates that share and shows thresholds for it. They are transductive: for these images and
    others of the same place.
    """
    from hierclf.data.image_files import list_images
    from hierclf.progress import progress

    if json_file is not None:
        check_out_file("--json", json_file, endings=(".json",))
    files = list_images(images, zip_encoding=zip_encoding, keep_truncated=truncated == "keep")
    from hierclf.commands.adapt import adapt_thresholds, check_enough
    from hierclf.commands.thresholds import check_not_in_use
    from hierclf.hub.addresses import is_elsewhere, local_model
    from hierclf.nets.inference import pick_device

    check_enough(len(files), f"in {images}")
    if write and is_elsewhere(model):
        what = "thresholds are written into a folder of this machine: copy the model, or leave out"
        raise ValueError(f"{what} --write, but got {model}")
    directory = local_model(model)
    if write:
        check_not_in_use(directory, instead="without --write, they are only shown")
    with progress("predicting") as report:
        found = adapt_thresholds(
            directory, files, batch_size=batch_size, device=pick_device(device), progress=report
        )
    if write:  # before anything is printed: `| head` may end that
        from hierclf.bundle.rule_file import save_rule

        save_rule(directory, found.choice.rule, found.choice.calibration)
    if json_file is not None:
        write_json_object(json_file, found.to_dict())
    _print(found)
    if write:
        print_written(directory, undo="hierclf thresholds MODEL --undo")
        return
    print(f"{model} is as it was; to write these thresholds:")
    say("hierclf", "adapt", model, images, "--write")


def _print(found: "Adapted") -> None:
    from rich.console import Console

    from hierclf.commands.adapt import adaptation_notes
    from hierclf.commands.thresholds import rule_in_words
    from hierclf.reports.share_table import share_table

    for name, reason in found.unreadable:
        print(visible(f"unreadable: {name}: {reason}"), file=sys.stderr)
    Console().print(share_table(found.shares, found.called_before, found.called_after))
    print_choice(found.choice)
    if found.choice.before is not None:
        print(f"before: {rule_in_words(found.choice.before)}")
    for note in adaptation_notes(found):
        print(note)
