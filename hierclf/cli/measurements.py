"""The command `benchmark`: its own program, begun from this one."""

import typer

from hierclf.cli.app import app


@app.command(
    rich_help_panel="Measurements",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def benchmark(context: typer.Context) -> None:
    """Measure promised and found accuracies, or every score, on your own data."""
    from hierclf.benchmark.__main__ import app as program  # imports torch

    program(context.args, prog_name="hierclf benchmark")
