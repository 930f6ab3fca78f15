"""The command line: `hierclf COMMAND`, a file for each group of commands.

Slow imports (torch above all) stand inside the commands, so that help is fast.
"""

import os

# Help shows the groups in the order of these imports.
# isort: off
from hierclf.cli import (  # noqa: F401
    data,
    predictions,
    models,
    adaptation,
    zero_shot,
    classes,
    configuration,
    measurements,
)

# isort: on
from hierclf.cli.app import app
from hierclf.errors import output_errors


def main() -> None:
    """The console script."""
    # Huge pages for torch's large CPU tensors: it asks for fresh memory for each, and first writes
    # to small pages take as long as much of the arithmetic. Read when the first tensor is made.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    with output_errors("hierclf"):
        app(prog_name="hierclf")
