"""The program `hierclf`, and what its commands share."""

import shlex
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from hierclf.errors import one_line_errors
from hierclf.version import package_version


class Command(TyperCommand):
    """Reports a user's mistake in one line; with --debug, here or before the command, in full."""

    def invoke(self, ctx: Any) -> Any:
        debug = ctx.params["debug"] or ctx.parent.params["debug"]
        with one_line_errors("hierclf", debug=debug):
            return super().invoke(ctx)


Truncated = Annotated[
    Literal["refuse", "keep"],
    typer.Option(help="JPEG files that end early: keep fills what is missing with grey."),
]
ZipEncoding = Annotated[
    str | None, typer.Option(help="Of names in zips that are not marked as UTF-8, such as cp932.")
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="What the columns of a table of image files hold, as image=X,super=Y,sub=Z (also "
        "group= and split=); by default their names tell.",
    ),
]
Hierarchy = Annotated[
    str | None,
    typer.Option(
        help="A table sub,super that gives each sub-class its super-class, for data that name "
        "sub-classes only; by default hierarchy.csv beside them."
    ),
]
Model = Annotated[
    str, typer.Argument(help="A model directory, hf://OWNER/NAME, or an address such as s3://...")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show errors with their traceback.")]
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(value: bool) -> None:
    if value:
        print(f"hierclf {package_version('hierclf')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Debug = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Two-level image classification that knows what it does not know."""


def say(*words: object) -> None:
    """Print a command to type next, quoted for the shell."""
    print("  " + shlex.join(map(str, words)))
