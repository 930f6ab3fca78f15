"""Archives in which no image is looked for: all but zips. Tars are read as shards only."""

from pathlib import Path

WAY_OUT = "is an archive of a kind that is not looked into; unpack it, or pack it as a .zip"
_ENDINGS = (
    *(".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst"),
    *(".gz", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar"),
)
_BEGINNINGS = (
    *(b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),  # gzip, bzip2, xz, Zstandard
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
)
_TAR_MARK = slice(257, 262)


def is_other_archive(path: Path) -> bool:
    """Whether a file is an archive by its ending, or else by its first bytes.

    Raises:
        OSError: the file cannot be read.
    """
    if path.suffix.lower() in _ENDINGS:
        return True
    with path.open("rb") as file:
        head = file.read(_TAR_MARK.stop)
    return head.startswith(_BEGINNINGS) or head[_TAR_MARK] == b"ustar"


def is_archive_name(path: str) -> bool:
    """Whether a name, of a file in a zip say, ends like an archive, zips among them."""
    return Path(path).suffix.lower() in (".zip", *_ENDINGS)


def other_archives(folder: Path) -> list[Path]:
    """The files directly in a folder that are archives by their ending, sorted."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _ENDINGS and p.is_file())
