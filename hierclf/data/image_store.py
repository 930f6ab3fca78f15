"""Image files of a data folder: loose ones and those inside its zips, found by name.

Nothing is ever extracted. A name or a zip entry that points out of the folder is refused. Links on
the disk are followed.
"""

import posixpath
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from hierclf.counts import counted
from hierclf.data.archives import WAY_OUT, is_archive_name, other_archives
from hierclf.data.file_names import is_absolute, is_hidden, loose_form
from hierclf.data.folders import DANGLING, Entry, links_out, walk_files
from hierclf.data.image_kind import HEAD_BYTES, is_image
from hierclf.data.listing import Problem
from hierclf.data.zip_files import check_size, open_zip, read_zipped, zip_entries, zipped_head

# Where one of these is in the folder, images are looked for nowhere else: a release's test_images
# would hold other images of the same names.
PREFERRED = ("train_images.zip", "train_images")
# What names in zips of other systems are written in, by the languages of their users.
_ENCODINGS = (
    *("cp1252", "cp850", "cp437", "gb18030", "cp932", "euc_kr", "big5"),
    *("cp1251", "cp866", "cp1250", "cp852"),
)


def read_loose(root: Path, entry: Entry) -> bytes:
    """The bytes of a loose file below `root`.

    Raises:
        ValueError: larger than MAX_FILE_BYTES.
        OSError: the file cannot be read.
    """
    path = root / entry.path
    check_size(path.stat().st_size)
    return path.read_bytes()


def is_loose_image(root: Path, entry: Entry) -> bool:
    """Whether a loose file below `root` is an image, by its ending or else its first bytes."""
    return is_image(entry.path, lambda: loose_head(root, entry))


def loose_head(root: Path, entry: Entry) -> bytes:
    """The first bytes of a loose file below `root`; none where it cannot be read."""
    try:
        with (root / entry.path).open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def is_zipped_image(archive: zipfile.ZipFile, path: str, info: zipfile.ZipInfo) -> bool:
    """Whether a zip entry is an image, by its ending or else its first bytes."""
    return is_image(path, lambda: zipped_head(archive, info, HEAD_BYTES))


class ImageStore:
    """Finds and reads the image files of one folder. Reading is safe among threads."""

    def __init__(
        self, root: Path, problems: list[Problem], *, zip_encoding: str | None = None
    ) -> None:
        """Args:
        root: the folder.
        problems: the list to add to.
        zip_encoding: of names in zips that are not marked as UTF-8.
        """
        self._root = root
        self._zip_encoding = zip_encoding
        self._archives: dict[str, zipfile.ZipFile] = {}
        preferred = next((root / n for n in PREFERRED if (root / n).exists()), None)
        problems += [Problem(path.name, WAY_OUT, False) for path in other_archives(root)]
        outside: list[str] = []
        if preferred is None:
            loose = list(walk_files(root, root, outside))
            zips = sorted(p for p in root.iterdir() if p.suffix.lower() == ".zip" and p.is_file())
        else:
            loose = list(walk_files(root, preferred, outside)) if preferred.is_dir() else []
            zips = [preferred] if preferred.is_file() else []
        problems += links_out(root, outside)
        visible = (path for path in zips if not is_hidden(path.name))
        inner = [entry for path in visible for entry in self._open_zip(path, problems)]
        # Loose files come first: an unpacked zip often still lies beside its content.
        tiers = (loose, inner)
        self._indexes = [_Index(tier, key) for key in (str, loose_form, _stem) for tier in tiers]
        self._raw: dict[bytes, list[Entry]] = defaultdict(list)
        for entry in inner:
            if entry.raw:
                self._raw[posixpath.basename(entry.raw)].append(entry)

    def locate(self, name: str) -> Entry | str:
        """The file that a CSV's name means, or the reason why there is none.

        Looked for by exact relative path, then by its end (`a/0.jpg` in `x/a/0.jpg`), then by its
        last part alone where only one file is called so; loose files before zipped ones. Then in
        the same way whatever its case and composed accents, then whatever its ending. Of an
        absolute path, written on another machine, the longest end that a file has counts.
        """
        path = posixpath.normpath(name.replace("\\", "/"))
        for index in self._indexes:
            found = index.find(path, by_end=is_absolute(name))
            if len(found) == 1:
                return f"image {name!r} {DANGLING}" if found[0].unsafe == DANGLING else found[0]
            if found:
                where = ", ".join(entry.path for entry in found[:2])
                return f"image {name!r} could be any of {len(found)} files ({where}, ...)"
        if self._raw:
            return self._locate_raw(name, path)
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

    def _locate_raw(self, name: str, path: str) -> Entry | str:
        """By the bytes of names in zips, in whichever encoding they match."""
        for encoding in _ENCODINGS:
            with suppress(UnicodeEncodeError):
                raw = path.encode(encoding)
                alike = self._raw.get(posixpath.basename(raw), [])
                ending = [entry for entry in alike if (b"/" + entry.raw).endswith(b"/" + raw)]
                for found in (ending, alike):
                    if len(found) == 1:
                        return found[0]
        names = counted(len(self._raw), "name has", "names have")
        return (
            f"image {name!r} is not in the folder or its zips, in which {names} an unknown "
            "encoding (set data.zip_encoding)"
        )

    def _open_zip(self, path: Path, problems: list[Problem]) -> Iterator[Entry]:
        try:
            archive = open_zip(path, encoding=self._zip_encoding)
        except ValueError as error:
            problems.append(Problem(path.name, str(error), True))
            return
        self._archives[path.name] = archive
        nested: list[str] = []
        for inside, raw, unsafe, info in zip_entries(archive, encoding=self._zip_encoding):
            if unsafe:
                where = f"{path.name} entry {info.filename!r}"
                problems.append(Problem(where, unsafe, True))
                continue
            if is_archive_name(inside):
                nested.append(inside)
            yield Entry(inside, path.name, (info.file_size, info.CRC), info=info, raw=raw)
        if nested:
            what = f"{len(nested)} archives in it are not looked into (first: {nested[0]!r})"
            problems.append(Problem(path.name, f"{what}; unpack it", False))


class _Index:
    """Entries by whole path and by last part, under a key; a zip may hold the same path twice."""

    def __init__(self, entries: Sequence[Entry], key: Callable[[str], str]) -> None:
        self._entries, self._key = entries, key
        self._by_path: dict[str, list[Entry]] | None = None  # made when it is first needed
        self._by_base: dict[str, list[Entry]] = defaultdict(list)

    def find(self, path: str, *, by_end: bool) -> list[Entry]:
        """The different files that a path may mean; `by_end`: the longest end in common."""
        if self._by_path is None:
            self._by_path = defaultdict(list)
            for entry in self._entries:
                known = self._key(entry.path.replace("\\", "/"))
                self._by_path[known].append(entry)
                self._by_base[posixpath.basename(known)].append(entry)
        path = self._key(path)
        alike = self._by_base.get(posixpath.basename(path), [])
        if by_end:
            ends = [self._common_end(path, entry) for entry in alike]
            found = [entry for entry, end in zip(alike, ends, strict=True) if end == max(ends)]
        else:
            ending = [entry for entry in alike if self._key(entry.path).endswith(f"/{path}")]
            found = self._by_path.get(path, []) or ending or alike
        # A folder and a link to it hold the same files, which a zip may do only by name.
        return list(dict.fromkeys(found)) if all(not entry.archive for entry in found) else found

    def _common_end(self, path: str, entry: Entry) -> int:
        """How many of their last parts a path and an entry have in common."""
        ours, theirs = path.split("/")[::-1], self._key(entry.path).split("/")[::-1]
        same = [a == b for a, b in zip(ours, theirs, strict=False)]
        return same.index(False) if False in same else len(same)


def _stem(path: str) -> str:
    """The loose form of a path without its ending."""
    return loose_form(posixpath.splitext(path)[0])
