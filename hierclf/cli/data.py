"""Commands about data: check, demo."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hierclf.cli.app import Columns, Command, Debug, Hierarchy, ZipEncoding, app, say
from hierclf.io.atomic import check_out_file, write_json_object

PANEL = "Data"


@app.command(cls=Command, rich_help_panel=PANEL)
def check(
    path: Annotated[
        str, typer.Argument(help="A folder, a table of images, tars, a set by name, or demo.")
    ],
    read_images: Annotated[
        bool, typer.Option("--read-images", help="Decode every image, too.")
    ] = False,
    images: Annotated[
        bool,
        typer.Option(
            "--images",
            help="Show images to look at, too: copies, one picture with two labels, blurred, dark, "
            "overexposed, empty, of odd shape or size.",
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="With --images: a model directory or a run, whose features show labels in doubt, "
            "sub-classes nearer to another super-class, and sub-classes that look like two."
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="With --images: write a page with the pictures.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all of it to this file, for programs.")
    ] = None,
    columns: Columns = None,
    hierarchy: Hierarchy = None,
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Show classes, counts and every problem of a labelled data set.

    Exit code 1 when something keeps it from being used.
    """
    from hierclf.commands.check import check_json, format_check, read_problems
    from hierclf.commands.inspect_images import inspect_images
    from hierclf.data.sources import inspect_source
    from hierclf.hub.addresses import local_model
    from hierclf.progress import progress

    for name, given in (("--model", model), ("--html", html)):
        if given is not None and not images:
            raise ValueError(f"{name} needs --images, but got {given} without it")
    if html is not None:
        check_out_file("--html", html, endings=(".html",))
    if json_file is not None:
        check_out_file("--json", json_file, endings=(".json",))
    source, problems = inspect_source(
        path, zip_encoding=zip_encoding, columns=columns, hierarchy=hierarchy
    )
    text, plain = "", dict[str, Any]()
    if source is not None and images:
        directory = None if model is None else local_model(model)
        inspected = inspect_images(source, directory, html_file=html)
        problems, plain = [*problems, *inspected.problems], inspected.plain
        text = f"\n\n{inspected.text}"
    elif source is not None and read_images:
        with progress("reading images") as report:
            problems = [*problems, *read_problems(source, progress=report)]
    if json_file is not None:
        write_json_object(json_file, check_json(source, problems) | plain)
        text += f"\nwrote {json_file}"
    print(format_check(source, problems) + text)
    if any(problem.fatal for problem in problems):
        raise typer.Exit(1)


@app.command(cls=Command, rich_help_panel=PANEL)
def demo(
    directory: Annotated[Path, typer.Argument(help="Where to write; created where missing.")],
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures.")] = 0,
    debug: Debug = False,
) -> None:
    """Write the built-in demo set as files: training data, and test images with their labels.

    Files of the same names are replaced.
    """
    from hierclf.data.demo import write_demo

    write_demo(directory, seed)
    print(f"wrote the demo set (seed {seed}) to {directory}\nnext:")
    say("hierclf", "check", directory)
    say("python", "-m", "search.tune", "--config", "demo", "--data", directory)
