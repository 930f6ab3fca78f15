"""Locks on files, between processes of one machine or of a shared file system.

The system releases a lock however its process ends, so that none is ever stale.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import lock_descriptor

from hierclf.io.atomic import NOT_THERE, warn_once

_TRIES, _PAUSE = 5, 0.02  # of `lock_now`, in seconds


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (created where missing, never deleted).

    On a file system without locks, a warning is all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            lock_descriptor(file.fileno())
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise OSError(error.errno, error.strerror, str(path)) from error
            warn_once(
                f"the file system of {path.parent} has no locks ({error.strerror}): start no two "
                "processes there at the same time"
            )
        yield


def lock_now(file: IO[Any]) -> bool:
    """Lock an open file exclusively, until it is closed; False if another process holds the lock.

    Locks are never shared, as Windows and filelock have no other kind: whoever asks whether a file
    is locked holds the lock for a moment. Hence the few tries.

    Raises:
        OSError: the file system has no locks.
    """
    for _ in range(_TRIES - 1):
        if lock_descriptor(file.fileno(), blocking=False):
            return True
        time.sleep(_PAUSE)
    return lock_descriptor(file.fileno(), blocking=False)


def owner_in(file: IO[str]) -> str:
    """What the owner of a lock wrote into its file, open for reading; empty if unreadable."""
    try:
        file.seek(0)
        return file.read().strip()
    except OSError:  # Windows lets nobody else read the locked byte
        return ""
