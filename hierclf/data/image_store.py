"""Image files of a data folder: loose ones and those inside its zips, found by name.

Nothing is ever extracted. A name, a zip entry or a link that points out of the folder is refused.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hierclf.data.listing import Problem
from hierclf.errors import one_line

# Where one of these is in the folder, images are looked for nowhere else: a release's test_images
# would hold other images of the same names.
PREFERRED = ("train_images.zip", "train_images")
# A zip entry may claim any size; no photograph needs more.
MAX_FILE_BYTES = 256 * 2**20
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LEAVES = "the path leaves the data folder"


@dataclass(frozen=True)
class Entry:
    """One image file; equal for the same file."""

    path: str  # inside the folder, or inside the zip; with forward slashes
    archive: str = ""  # the zip's name; empty for a loose file
    stamp: tuple[int, ...] = field(default=(), compare=False)  # changes with the content
    unsafe: str = field(default="", compare=False)  # why it must not be read
    info: zipfile.ZipInfo | None = field(default=None, compare=False)


def unsafe_reason(name: str) -> str:
    """Why a name from a CSV or a zip must not be followed; empty where it is safe."""
    path = name.replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path) or ".." in path.split("/") or "\0" in path:
        return _LEAVES
    return ""


def unwritable_reason(name: str) -> str:
    """Why a name could not stand in a table of results; empty where it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the file's name is not UTF-8"
    return ""


def walk_files(root: Path, folder: Path) -> Iterator[Entry]:
    """Loose files below `folder` in sorted order, paths relative to `root`; hidden ones left out.

    A link to a folder is not followed; a link that leaves `root` comes back as unsafe. (CSV and zip
    files themselves may be links: they are named by the user, not by the data.)
    """
    home = root.resolve()
    with os.scandir(folder) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        path = Path(entry.path)
        relative = path.relative_to(root).as_posix()
        if reason := unwritable_reason(relative):
            yield Entry(relative, unsafe=reason)
            continue
        if entry.is_symlink():
            if not Path(os.path.realpath(path)).is_relative_to(home):
                yield Entry(relative, unsafe=f"{_LEAVES} through a link")
                continue
            if not path.is_file():  # unlike the entry's, it bears a link to itself
                continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk_files(root, path)
        elif entry.is_file():
            info = entry.stat()
            # The mode belongs to it: an unreadable file that is made readable is new content.
            yield Entry(
                relative, stamp=(info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode))
            )


def read_loose(root: Path, entry: Entry) -> bytes:
    """The bytes of a loose file below `root`.

    Raises:
        ValueError: larger than MAX_FILE_BYTES.
        OSError: the file cannot be read.
    """
    path = root / entry.path
    _check_size(path.stat().st_size)
    return path.read_bytes()


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip file's directory.

    Raises:
        ValueError: not a zip file that can be read.
    """
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # a directory of made-up bytes raises nearly anything
        raise ValueError(f"cannot be read as a zip file: {one_line(error)}") from None


def read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a zip entry, in memory that its stated size bounds.

    `ZipFile.read` unpacks all that is there before it looks at the stated size, and methods other
    than deflate do so whatever is asked for: a stranger's 100 KB may become gigabytes.

    Raises:
        ValueError: larger than MAX_FILE_BYTES, of another method, damaged or encrypted.
    """
    _check_size(info.file_size)
    if info.compress_type not in _METHODS:
        raise ValueError(f"a zip entry must be stored or deflated, not method {info.compress_type}")
    try:
        with archive.open(info) as file:
            # One byte more than there should be: the end is seen, and with it the checksum.
            return file.read(info.file_size + 1)
    except Exception as error:  # damaged entries raise nearly anything, encrypted ones RuntimeError
        name = Path(archive.filename or "").name
        raise ValueError(f"cannot be read from {name}: {one_line(error)}") from None


class ImageStore:
    """Finds and reads the image files of one folder. Reading is safe among threads."""

    def __init__(self, root: Path, problems: list[Problem]) -> None:
        self._root = root
        self._archives: dict[str, zipfile.ZipFile] = {}
        preferred = next((root / n for n in PREFERRED if (root / n).exists()), None)
        if preferred is None:
            loose = list(walk_files(root, root))
            zips = sorted(p for p in root.iterdir() if p.suffix.lower() == ".zip" and p.is_file())
        else:
            loose = list(walk_files(root, preferred)) if preferred.is_dir() else []
            if preferred.is_dir() and not preferred.resolve().is_relative_to(root.resolve()):
                problems.append(Problem(preferred.name, f"{_LEAVES} through a link", True))
            zips = [preferred] if preferred.is_file() else []
        inner = [entry for path in zips for entry in self._open_zip(path, problems)]
        # Loose files come first: an unpacked zip often still lies beside its content.
        self._tiers = [_Names(loose), _Names(inner)]

    def locate(self, name: str) -> Entry | str:
        """The file that a CSV's name means, or the reason why there is none.

        Looked for by exact relative path, then by its end (`a/0.jpg` in `x/a/0.jpg`), then by its
        last part alone where only one file is called so; loose files before zipped ones.
        """
        path = posixpath.normpath(name.replace("\\", "/"))
        for tier in self._tiers:
            exact = tier.by_path.get(path, [])
            alike = tier.by_base.get(posixpath.basename(path), [])
            ending = [entry for entry in alike if entry.path.endswith(f"/{path}")]
            for found in (exact, ending, alike):
                if len(found) == 1:
                    return found[0]
                if found:
                    where = ", ".join(entry.path for entry in found[:2])
                    return f"image {name!r} could be any of {len(found)} files ({where}, ...)"
        return f"image {name!r} is not in the folder or its zips"

    def read(self, entry: Entry) -> bytes:
        """The encoded bytes of a file.

        Raises:
            ValueError: larger than MAX_FILE_BYTES, or a damaged or encrypted zip entry.
            OSError: the file cannot be read.
        """
        assert not entry.unsafe, entry
        if entry.info is None:
            return read_loose(self._root, entry)
        return read_zipped(self._archives[entry.archive], entry.info)

    def _open_zip(self, path: Path, problems: list[Problem]) -> Iterator[Entry]:
        try:
            archive = open_zip(path)
        except ValueError as error:
            problems.append(Problem(path.name, str(error), True))
            return
        self._archives[path.name] = archive
        for info in archive.infolist():
            name = info.filename.replace("\\", "/")
            hidden = name.startswith("__MACOSX/") or posixpath.basename(name).startswith(".")
            where = f"{path.name} entry {info.filename!r}"
            if unsafe_reason(name):
                problems.append(Problem(where, _LEAVES, True))
            elif stat.S_ISLNK(info.external_attr >> 16):
                problems.append(Problem(where, "is a link, which is not followed", True))
            elif not info.is_dir() and not hidden:
                path_inside = posixpath.normpath(name)
                yield Entry(path_inside, path.name, (info.file_size, info.CRC), info=info)


class _Names:
    """Entries by whole path and by last part; a zip may hold the same path twice."""

    def __init__(self, entries: list[Entry]) -> None:
        self.by_path: dict[str, list[Entry]] = defaultdict(list)
        self.by_base: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            path = entry.path.replace("\\", "/")
            self.by_path[path].append(entry)
            self.by_base[posixpath.basename(path)].append(entry)


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"the file has {size} bytes, more than the limit of {MAX_FILE_BYTES}")
