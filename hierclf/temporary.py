"""Temporary folders of one user on a machine of many."""

import os
import tempfile
from pathlib import Path


def own_temporary(base: Path) -> Path:
    """A folder below `base` that is this user's alone, created where missing.

    It is the same one at every call, unless somebody else has taken its name.
    """
    folder = base / f"hierclf-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
        return Path(tempfile.mkdtemp(prefix="hierclf-", dir=base))
    return folder
