"""Checksums of a model directory: `bundle.json` lists one for every file that is read.

They detect damaged and mixed-up files, not forged ones: write access includes the checksums.

The network's files never change. Thresholds and score table may be replaced: while the new file
takes its place, `bundle.json` lists both checksums, so that the directory is valid at any moment,
with the old file or the new one, even if the replacement is interrupted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hierclf.io.atomic import draft_of, read_json_object, write_json_object
from hierclf.io.digest import sha256_of

DESCRIPTION = "bundle.json"
_KEY = "sha256"


def check_sums(directory: Path, description: dict[str, Any], names: Sequence[str]) -> None:
    """Compare files with the checksums in the directory's description.

    Args:
        directory: a model directory.
        description: content of its `bundle.json`.
        names: of the files to check.

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
        if not (directory / name).is_file():  # a pipe, for one, would block
            raise ValueError(f"has no {name}")
        if sha256_of(directory / name) not in (sums if isinstance(sums, list) else [sums]):
            raise ValueError(
                f"{directory / name} must match its checksum in {DESCRIPTION}, but differs"
            )


@contextmanager
def replaced(directory: Path, name: str) -> Iterator[Path]:
    """Replace a file of a model directory atomically, and list its checksum.

    Only one process at a time may do this to a directory.

    Args:
        directory: a model directory.
        name: of the file, which need not exist.

    Yields:
        A temporary file to write; it takes the file's place when the block ends without an error.

    Raises:
        ValueError: the directory has no description.
    """
    description = read_json_object(directory / DESCRIPTION)
    with draft_of(directory / name) as temporary:
        yield temporary
        old = description[_KEY].get(name, [])
        new = sha256_of(temporary)
        _list(directory, description, name, [*(old if isinstance(old, list) else [old]), new])
    _list(directory, description, name, new)


def _list(directory: Path, description: dict[str, Any], name: str, sums: str | list[str]) -> None:
    listed = description[_KEY] | {name: sums}
    write_json_object(directory / DESCRIPTION, {**description, _KEY: listed})
