"""How a command ends: a mistake of the user's is one line on stderr, never a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def one_line(error: Exception) -> str:
    """What an error says, in one line; an OSError as "file: reason", without its number."""
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename is not None else ""
        return f"{name}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def one_line_errors(program: str, *, debug: bool) -> Iterator[None]:
    """Turn ValueError and OSError into `PROGRAM: error: ...` on stderr and exit code 2.

    Ctrl-C ends with exit code 130, as shells have it. A closed pipe (`| head`) is left to typer,
    which ends quietly. Usable as a decorator, too.

    Args:
        program: what the user typed.
        debug: let errors through, with their traceback.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"{program}: error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        if debug:
            raise
        print(f"{program}: stopped", file=sys.stderr)
        raise SystemExit(130) from None
