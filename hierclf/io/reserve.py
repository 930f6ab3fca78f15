"""Disk space for a file that is written through a memory map."""

import os
from typing import IO, Any

_CHUNK = 16 * 2**20


def reserve(file: IO[Any], n_bytes: int) -> None:
    """Add `n_bytes` (at least 1) bytes of zeros, which have their place on the disk, to a new file.

    A disk that is full is an error here; at a write to the map it would kill the process.

    Raises:
        OSError: the disk is full (ENOSPC).
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), file.tell(), n_bytes)
        return
    # macOS and Windows have no such call, and a hole in a file has no place on the disk.
    for start in range(0, n_bytes, _CHUNK):
        file.write(bytes(min(_CHUNK, n_bytes - start)))
    file.flush()
