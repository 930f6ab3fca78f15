"""The command `hierclf`, run in this process."""

from typer.testing import CliRunner, Result

from hierclf.cli import app


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def error_of(*args: object) -> str:
    """The one line that a mistake gives."""
    lines = run(*args, code=2).stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("hierclf: error: ")
    return lines[0]
