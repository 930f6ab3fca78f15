"""What a call to an MLflow store may raise: in one line, and whether to try again."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from alembic.util import CommandError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

T = TypeVar("T")
StoreErrors = (MlflowException, SQLAlchemyError, OSError, CommandError, ImportError)
"""What a call to a store may raise: OSError or MlflowException if the connection is refused,
CommandError for another program's or version's database, ImportError if its driver is missing."""
PATIENCE_S = 60.0
"""How long `patiently` retries."""
REFUSED = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"})
"""Error codes for which a retry does not help."""


def passing(error: BaseException | None) -> bool:
    """Whether the call that raised this error may succeed later."""
    known = isinstance(error, StoreErrors) and not isinstance(error, CommandError | ImportError)
    return known and getattr(error, "error_code", None) not in REFUSED


class StoreFailedError(ValueError):
    """A store's error in one line; its cause is the original error."""


@contextmanager
def plain_errors(uri: str) -> Iterator[None]:
    """Turn a store's errors into a ValueError of one line, without the password in a URI."""
    try:
        yield
    except StoreErrors as error:
        raise StoreFailedError(plain(f"MLflow's store {uri} failed: {error}")) from error


def patiently(call: Callable[..., T], *args: Any, seconds: float = PATIENCE_S, **kwargs: Any) -> T:
    """Call a function, and retry if it fails for a temporary reason (a locked SQLite, a restart).

    Args:
        call: an idempotent function that raises StoreFailedError.
        args: its positional arguments.
        seconds: how long to retry.
        kwargs: its keyword arguments.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            return call(*args, **kwargs)
        except StoreFailedError as error:
            if not passing(error.__cause__) or time.monotonic() > give_up:
                raise
        time.sleep(1.0)


def plain(message: str) -> str:
    """First line of `message`, no longer than 300 characters, without the password in a URI."""
    line = message.strip().splitlines()[0].rstrip(": ")
    if "Caused by" in line:  # urllib3 puts the reason at the end
        reason = line.rsplit(": ", 1)[1].strip("\"')")
        line = f"{line.split(' failed: ')[0].split(' failed with')[0]}: {reason}"
    return re.sub(r"//[^/@\s]*@", "//***@", line)[:300]
