"""Checksums of a model directory: `bundle.json` lists one for every file that is read.

They tell damage and mixed-up files, not forgery: whoever can write a file can write its checksum.

The network's files never change. Thresholds and score table may be replaced, and are then listed
with two checksums, the old and the new, while the file takes its place: a directory whose
replacement was cut short, at whatever moment, holds the old file or the new one and is valid.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hierclf.io.atomic import draft_of, read_json_object, write_json_object

DESCRIPTION = "bundle.json"
_KEY = "sha256"


def sha256_of(path: Path) -> str:
    """The checksum of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sums(directory: Path, description: dict[str, Any], names: Sequence[str]) -> None:
    """Compare files with what the directory's description lists.

    Raises:
        ValueError: a file that is not listed, is missing or differs.
        OSError: a file that cannot be read.
    """
    listed = description[_KEY]
    if not isinstance(listed, dict):
        raise ValueError(f"`{_KEY}` in {DESCRIPTION} must be an object, but got {listed!r}")
    for name in names:
        sums = listed.get(name)
        if sums is None:
            raise ValueError(f"{DESCRIPTION} must list the checksum of {name}, but does not")
        if not (directory / name).is_file():  # nor a pipe, which would be waited for
            raise ValueError(f"has no {name}")
        if sha256_of(directory / name) not in (sums if isinstance(sums, list) else [sums]):
            raise ValueError(
                f"{directory / name} must match its checksum in {DESCRIPTION}, but differs"
            )


@contextmanager
def replaced(directory: Path, name: str) -> Iterator[Path]:
    """A draft of a model directory's file; when the block ends it takes its place, and is listed.

    One process at a time may do this to a directory.

    Raises:
        ValueError: the directory has no description.
    """
    description = read_json_object(directory / DESCRIPTION)
    with draft_of(directory / name) as draft:
        yield draft
        old = description[_KEY].get(name, [])
        new = sha256_of(draft)
        _list(directory, description, name, [*(old if isinstance(old, list) else [old]), new])
    _list(directory, description, name, new)


def _list(directory: Path, description: dict[str, Any], name: str, sums: str | list[str]) -> None:
    listed = description[_KEY] | {name: sums}
    write_json_object(directory / DESCRIPTION, {**description, _KEY: listed})
