"""Commands about the configuration: schema."""

from pathlib import Path
from typing import Annotated

import typer

from hierclf.cli.app import Command, Debug, app
from hierclf.io.atomic import check_out_file, write_json_object


@app.command(cls=Command, rich_help_panel="Configuration")
def schema(
    file: Annotated[Path, typer.Argument(help="The file to write: .json.")],
    debug: Debug = False,
) -> None:
    """Write the JSON schema of configurations, for editors to complete and check keys."""
    from hierclf.config import Config

    check_out_file("FILE", file, endings=(".json",))
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    write_json_object(file, dialect | Config.model_json_schema())
    print(f"wrote {file}; first line of a configuration beside it, for editors:")
    print(f"# yaml-language-server: $schema={file.name}")
