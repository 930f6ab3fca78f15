"""Names of files as strangers write them: which are hidden, unsafe, or no text."""

import re
import unicodedata

_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
# Folders of systems and of network drives: thumbnails, what was deleted, snapshots.
_NOT_FOR_PEOPLE = (
    *("__macosx", "@eadir", "$recycle.bin", "#recycle", "@recycle", "lost+found"),
    *("system volume information", "#snapshot", "~snapshot", "@recently-snapshot"),
)
LEAVES = "the path leaves the data folder"


def is_hidden(path: str) -> bool:
    """Whether a part of a path, with forward slashes, is hidden or a system's own folder.

    So are AppleDouble files (`._0.jpg`), `.ipynb_checkpoints`, `.thumbnails` and `__MACOSX`.
    """
    return any(part.startswith(".") or part.lower() in _NOT_FOR_PEOPLE for part in path.split("/"))


def is_absolute(name: str) -> bool:
    """Whether a name is an absolute path, of this or another kind of machine."""
    return name.startswith(("/", "\\")) or _DRIVE.match(name) is not None


def unsafe_reason(name: str) -> str:
    """Why a name from a CSV or a zip must not be followed; empty where it is safe."""
    if is_absolute(name) or leaves(name):
        return LEAVES
    return ""


def leaves(name: str) -> bool:
    """Whether a name leads out of the folder that it is relative to, or holds a null byte."""
    return ".." in name.replace("\\", "/").split("/") or "\0" in name


def unwritable_reason(name: str) -> str:
    """Why a name could not stand in a table of results; empty where it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the file's name is not UTF-8"
    return ""


def loose_form(name: str) -> str:
    """The same for names that differ in case or in how accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
