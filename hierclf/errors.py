"""How a command ends: a mistake is one line on stderr, never a traceback; output never fails it."""

import getpass
import io
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hierclf.temporary import own_temporary

_STEERING = re.compile("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def one_line(error: Exception) -> str:
    """What an error says, in one line; an OSError as "file: reason", without its number."""
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename is not None else ""
        return visible(f"{name}{error.strerror}")
    return visible(" ".join(str(error).split())) or type(error).__name__


def visible(text: str) -> str:
    """Text with escapes such as `\\x1b` for what would steer a terminal: file names may hold it.

    So are line ends, other control characters, and those that reverse the direction of writing.
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def one_line_errors(program: str, *, debug: bool) -> Iterator[None]:
    """Turn ValueError and OSError into `PROGRAM: error: ...` on stderr and exit code 2.

    Warnings become `PROGRAM: warning: ...`, characters that the terminal cannot show `?`. Ctrl-C
    ends with exit code 130. A closed pipe (`| head`) is left to typer, which ends quietly. Usable
    as a decorator, too.

    Args:
        program: what the user typed.
        debug: let errors through, with their traceback.
    """
    _prepare_output()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn_as(program)
            _prepare_home()
            _prepare_name()
            # A notebook's value, inherited by its `!commands`, would end the import of matplotlib.
            os.environ["MPLBACKEND"] = "agg"
            yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        if debug:
            raise
        print(f"{program}: error: {one_line(_named(error))}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        if debug:
            raise
        print(f"{program}: stopped", file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def output_errors(program: str) -> Iterator[None]:
    """End what is printed outside of a command, as help is, in one line where that fails.

    A full disk behind the standard output becomes `PROGRAM: error: ...` and exit code 2, a closed
    pipe a quiet exit code 1. Other errors pass.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        raise SystemExit(1) from None
    except OSError as error:
        named = _named(error)
        if named is error:
            raise
        print(f"{program}: error: {one_line(named)}", file=sys.stderr)
        raise SystemExit(2) from None


def _prepare_output() -> None:
    """Let printing never fail for a character, nor for a stream that was closed (`>&-`)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _prepare_home() -> None:
    """Set HOME where a container's user has none: libraries look for it when they are imported."""
    try:
        Path.home()
    except RuntimeError:
        home = own_temporary(Path(tempfile.gettempdir()))
        os.environ["HOME"] = str(home)
        warnings.warn(f"this user has no home folder; HOME is {home} for now", stacklevel=2)


def _prepare_name() -> None:
    """Name the user where a container's has no name: MLflow and torch's compiler ask for one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the latter since Python 3.13
        os.environ["USER"] = str(os.getuid())


def _named(error: Exception) -> Exception:
    """The error, with a name if it is the standard output's: a full disk behind it, say."""
    if not isinstance(error, OSError) or error.filename is not None:
        return error
    try:
        print(flush=True)
    except OSError as again:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  Python flushes it at its end
        return OSError(again.errno, again.strerror, "standard output")
    return error


def _warn_as(program: str) -> Any:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = visible(" ".join(str(message).split()))
        print(f"{program}: warning: {line}", file=sys.stderr)

    return show


@contextmanager
def refused_as(what: str, folder: Path, description: str) -> Iterator[None]:
    """Turn any error of reading a folder into a one-line ValueError that names the folder.

    Args:
        what: the folder must be, with its article.
        folder: that is read.
        description: name of its file whose keys a KeyError is about.
    """
    try:
        yield
    except KeyError as error:
        reason = f"{description} lacks the key {error}"
    except Exception as error:  # malformed content can raise almost anything
        reason = one_line(error)[:300]
    else:
        return
    raise ValueError(f"{folder} must be {what}, but {reason}")
