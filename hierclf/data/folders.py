"""The files below a folder on the disk, through links, without walking in circles."""

import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hierclf.counts import counted
from hierclf.data.file_names import is_hidden, unwritable_reason
from hierclf.data.listing import Problem

DANGLING = "is a link to nothing that this user can read"
_FolderId = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class Entry:
    """One file; equal for the same file, through a link to its folder, too."""

    path: str = field(compare=False)  # inside the folder, or inside the zip; forward slashes
    archive: str = ""  # the zip's name; empty for a loose file
    stamp: tuple[int, ...] = field(default=(), compare=False)  # changes with the content
    unsafe: str = field(default="", compare=False)  # why it must not be read
    info: zipfile.ZipInfo | None = field(default=None, compare=False)
    raw: bytes = field(default=b"", compare=False)  # the name's bytes, of an unknown encoding
    real: str = ""  # its path once links to folders are followed; by default `path`

    def __post_init__(self) -> None:
        if not self.real:
            object.__setattr__(self, "real", self.path)


def walk_files(root: Path, folder: Path, outside: list[str] | None = None) -> Iterator[Entry]:
    """Loose files below `folder` in sorted order, paths relative to `root`; hidden ones left out.

    Links are followed, to folders, too, wherever they lead, as those on the user's own disk; not to
    a folder that they lie in. A link that leads nowhere comes back as DANGLING.

    Args:
        root: the data folder.
        folder: it, or a folder in it.
        outside: the list to which links that lead out of `root` are added, as paths in `root`.
    """
    walk = _Walk(root, os.path.realpath(root), [] if outside is None else outside)
    real = os.path.realpath(folder)
    if folder.is_symlink():
        walk.note_link(folder.relative_to(root).as_posix(), real)
    yield from walk.files(folder, real, frozenset(), None)


def links_out(root: Path, outside: Sequence[str]) -> list[Problem]:
    """A warning that names the first of the links that lead out of a data folder."""
    if not outside:
        return []
    target = os.path.realpath(root / outside[0])
    what = counted(
        len(outside),
        "link leads out of the folder and is followed",
        "links lead out of the folder and are followed",
    )
    return [Problem(root.name, f"{what} (first: {outside[0]!r} to {target!r})", False)]


class _Walk:
    def __init__(self, root: Path, home: str, outside: list[str]) -> None:
        self._root, self._home, self._outside = root, home, outside

    def note_link(self, relative: str, target: str) -> None:
        if not Path(target).is_relative_to(self._home):
            self._outside.append(relative)

    def files(
        self, folder: Path, real: str, above: frozenset[_FolderId], linked: set[_FolderId] | None
    ) -> Iterator[Entry]:
        """Args:
        folder: the path as it was reached.
        real: the same without links.
        above: folders on the way to it.
        linked: behind a link, the folders that were walked since; each is walked once there, since
            links to links could otherwise double the work with every level.
        """
        above |= {_folder_id(folder)}
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            if is_hidden(entry.name):
                continue
            path = Path(entry.path)
            relative = path.relative_to(self._root).as_posix()
            if reason := unwritable_reason(relative):
                yield Entry(relative, unsafe=reason)
                continue
            link = entry.is_symlink()
            if link and not os.path.exists(path):  # noqa: PTH110  a link to itself, too
                yield Entry(relative, unsafe=DANGLING)
                continue
            target = os.path.realpath(path) if link else os.path.join(real, entry.name)  # noqa: PTH118
            if link:
                self.note_link(relative, target)
            if entry.is_dir():
                found, behind = _folder_id(path), linked
                if found in above or (linked is not None and found in linked):
                    continue
                if link and behind is None:
                    behind = set()
                if behind is not None:
                    behind.add(found)
                yield from self.files(path, target, above, behind)
            elif entry.is_file():
                yield Entry(relative, stamp=_stamp(entry), real=self._inside(real, entry.name))

    def _inside(self, real: str, name: str) -> str:
        """A file's path without links to folders, relative to the data folder where it is in it."""
        path = os.path.join(real, name)  # noqa: PTH118  millions of them
        home = os.path.join(self._home, "")  # noqa: PTH118
        return path.removeprefix(home)


def _stamp(entry: os.DirEntry[str]) -> tuple[int, ...]:
    """Size, time and mode: an unreadable file that is made readable is new content."""
    info = entry.stat()
    return info.st_size, info.st_mtime_ns, stat.S_IMODE(info.st_mode)


def _folder_id(folder: Path) -> _FolderId:
    info = folder.stat()
    return info.st_dev, info.st_ino
