"""Files that a command writes: refused before the work starts, or there whole at its end."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TABLE_ENDINGS = (".csv", ".parquet")


def check_out_file(option: str, path: Path, *, endings: Sequence[str]) -> None:
    """Refuse an output file that could not be written.

    Args:
        option: what the user typed it for, such as `--out`.
        endings: the allowed ones, in lower case.

    Raises:
        ValueError: another ending, no such folder or one without write access, or a folder of
            that name.
    """
    if path.suffix.lower() not in endings:
        raise ValueError(f"{option} must end in {' or '.join(endings)}, but got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"{option} must lie in a folder, but {path.parent} does not exist")
    if path.is_dir():
        raise ValueError(f"{option} must be a file, but {path} is a folder")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{option} must lie in a folder with write access, got {path.parent}")


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name when the block ends without an error."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
