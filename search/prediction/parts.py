"""The parts of a prediction in a folder or a bucket: a Parquet file a shard, whole or not there."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from hierclf.commands.tally import Tally
from hierclf.io.atomic import draft_of
from hierclf.storage.address import Address, file_path, is_address
from hierclf.storage.listing import list_store
from hierclf.storage.send import read_text, send_file
from hierclf.storage.store import Store, open_store

_TALLY = b"hierclf.tally"
_AT_A_TIME = 16


class Parts:
    """A place for parts. A copy in another process opens the place there.

    Args:
        out: a folder of this machine or of shared storage, or an address.

    Raises:
        ValueError: an address of no store, or of no bucket.
    """

    def __init__(self, out: str) -> None:
        self.out = out
        path = file_path(out) if is_address(out) else Path(out).expanduser()
        self._folder = path and path.absolute()
        if self._folder is None:
            self._store = open_store(out)
        else:
            self._store = Store(
                LocalFileSystem(), str(self._folder), Address("file", "", str(self._folder), "")
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return Parts, (self.out if self._folder is None else str(self._folder),)

    def check(self) -> None:
        """Refuse a place that could not be written.

        Raises:
            ValueError: no such bucket, or a folder in none or without write access.
        """
        if self._folder is None:
            list_store(self._store)
            return
        if self._folder.exists() and not self._folder.is_dir():
            raise ValueError(f"--out must be a folder, but {self._folder} is a file")
        existing = self._folder if self._folder.exists() else self._folder.parent
        if not existing.is_dir():
            raise ValueError(f"--out must lie in a folder, but {existing} does not exist")
        if not os.access(existing, os.W_OK):
            raise ValueError(f"--out must lie in a folder with write access, got {existing}")

    def names(self) -> set[str]:
        """What is there; what a killed process has left unfinished is hidden."""
        if self._folder is not None and not self._folder.exists():
            return set()
        listed = list_store(self._store)
        return (
            set()
            if listed is None
            else {file.name for file in listed.files if not file.name.startswith(".")}
        )

    def read_json(self, name: str) -> Any:
        """The content of a JSON file; None where there is none or it is none."""
        text = read_text(self._store, name)
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            return None

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Let a function write a file; it is there under its name once it is whole.

        Raises:
            ValueError: the store refuses or cannot be reached; one line.
            OSError: the disk is full, or cannot be written.
        """
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            with draft_of(self._folder / name) as draft:
                write(draft)
            return
        with tempfile.TemporaryDirectory(prefix="hierclf-part-") as folder:
            write(Path(folder) / name)
            send_file(self._store, Path(folder) / name, name)

    def write_part(self, name: str, rows: Path, tally: Tally) -> None:
        """Write a part.

        Args:
            name: of the part.
            rows: a Parquet file with the rows.
            tally: what came of the shard's images; it is kept in the part.
        """
        table = pq.read_table(rows)
        about = {**(table.schema.metadata or {}), _TALLY: json.dumps(_own(tally)).encode()}
        self.write(name, lambda path: pq.write_table(table.replace_schema_metadata(about), path))

    def tallies(self, names: Iterable[str]) -> dict[str, Tally]:
        """What the parts of these names say of their images; those that are damaged are left out.

        Raises:
            ValueError: the store refuses or cannot be reached; one line.
        """
        names = list(names)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            found = zip(names, pool.map(self._tally, names), strict=True)
            return {name: tally for name, tally in found if tally is not None}

    def remove_drafts(self) -> None:
        """Delete what a process that was killed has left unfinished."""
        for draft in self._folder.glob(".*.part") if self._folder is not None else ():
            draft.unlink(missing_ok=True)

    def _tally(self, name: str) -> Tally | None:
        try:
            with self._store.filesystem.open_input_file(self._store.join(name)) as file:
                about = pq.read_schema(file).metadata
            content = json.loads(about[_TALLY])
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            return None
        return Tally(**{**content, "unreadable": [tuple(pair) for pair in content["unreadable"]]})


def _own(tally: Tally) -> dict[str, Any]:
    """What a shard's tally says of its own images."""
    return {key: value for key, value in asdict(tally).items() if key != "left_out"}
