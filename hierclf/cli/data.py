"""Commands about data: check, demo."""

from pathlib import Path
from typing import Annotated

import typer

from hierclf.cli.app import Columns, Command, Debug, Hierarchy, ZipEncoding, app, say

PANEL = "Data"


@app.command(cls=Command, rich_help_panel=PANEL)
def check(
    path: Annotated[str, typer.Argument(help="A folder, a table of images, or demo.")],
    read_images: Annotated[
        bool, typer.Option("--read-images", help="Decode every image, too.")
    ] = False,
    columns: Columns = None,
    hierarchy: Hierarchy = None,
    zip_encoding: ZipEncoding = None,
    debug: Debug = False,
) -> None:
    """Show classes, counts and every problem of a labelled data set.

    Exit code 1 when something keeps it from being used.
    """
    from hierclf.commands.check import format_check, read_problems
    from hierclf.data.sources import inspect_source
    from hierclf.progress import progress

    source, problems = inspect_source(
        path, zip_encoding=zip_encoding, columns=columns, hierarchy=hierarchy
    )
    if source is not None and read_images:
        with progress("reading images") as report:
            problems = [*problems, *read_problems(source, progress=report)]
    print(format_check(source, problems))
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
